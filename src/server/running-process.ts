import { readFileSync } from 'node:fs';
import { parseStat } from '../lib/processes.ts';

/** A process that runs on this machine. */
export interface Running {
  pid: number;
  /** With the pid, which process it is: numbers are given out again. Empty where the system does not say. */
  startedAt: string;
  /** By SIGSTOP or Ctrl-Z: it does nothing until SIGCONT. */
  isStopped: boolean;
}

/** The process of that number; undefined when there is none, or only a zombie is left of it. */
export function processOf(pid: number): Running | undefined {
  if (!(Number.isSafeInteger(pid) && pid > 0)) return undefined; // Others mean groups of processes.
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return undefined; // EPERM: it is somebody else's.
  }
  const { state = '', startTicks: startedAt = '' } = parseStat(read(`/proc/${pid}/stat`));
  if (state === 'Z' || state === 'X') return undefined;
  return { pid, startedAt, isStopped: state === 'T' || state === 't' };
}

/** The processes that `pid` has started, with their command lines; none where the system does not say. Linux. */
export function childrenOf(pid: number): { pid: number; command: string[] }[] {
  const pids = read(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean).map(Number);
  return pids.map((child) => ({ pid: child, command: read(`/proc/${child}/cmdline`).split('\0').slice(0, -1) }));
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return ''; // It has ended, or this system has no /proc.
  }
}
