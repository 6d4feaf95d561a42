/** What an OCI runtime has started, by the process id that it tells. */
import { readFileSync } from 'node:fs';

/** The process id in the file that the runtime writes; undefined when it is not there. */
export function pidIn(path: string): number | undefined {
  try {
    const pid = Number(readFileSync(path, 'latin1'));
    return Number.isSafeInteger(pid) && pid > 1 ? pid : undefined;
  } catch {
    return undefined; // It has not started yet.
  }
}

/**
 * Whether the process is still the runtime's own, which becomes the program: it takes a signal for itself (runc's ends
 * with 2).
 */
export function isOfRuntime(pid: number): boolean {
  try {
    return /^(runc:\[|crun|youki)/.test(readFileSync(`/proc/${pid}/comm`, 'latin1'));
  } catch {
    return false; // It has ended.
  }
}

/** Sends a signal; nothing when the process has ended. */
export function send(pid: number, signal: NodeJS.Signals | number): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has just ended, or is a number that no signal has.
  }
}
