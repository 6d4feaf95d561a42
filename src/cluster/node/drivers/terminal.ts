import { readlinkSync } from 'node:fs';
import { type Clock, sleep } from '../../../lib/clock.ts';
import { childrenOf } from '../../../lib/processes.ts';
import { shellWord } from '../../../lib/shell-word.ts';
import { runTool } from './tools.ts';

/**
 * The command that gives `command` a terminal, which Node cannot make: script (util-linux) does, hands on what comes in
 * and goes out, and ends with the command's exit code. It takes its shell from the variable SHELL.
 */
export const inTerminal = (command: readonly string[]): string[] => [
  'script',
  '-qefc',
  `exec ${command.map(shellWord).join(' ')}`,
  '/dev/null',
];

/** A command has its terminal a moment after it was started. */
const lookEveryMs = 10;
const patienceMs = 5_000;

/** Sets the size of that terminal; of sizes that come faster than they can be set, the last. */
export function resizerOf(script: number, clock: Clock, ended: AbortSignal): (size: TerminalSize) => void {
  const finding = Promise.withResolvers<string | undefined>();
  let isLookedFor = false;
  let isSetting = false;
  let wanted: TerminalSize | undefined;
  const set = async () => {
    if (!isLookedFor) finding.resolve(terminalOf(script, clock, ended));
    isLookedFor = true;
    const path = await finding.promise;
    for (let size = wanted; size && path !== undefined && !ended.aborted; size = wanted) {
      wanted = undefined;
      const [rows, columns] = [size.rows, size.columns].map((count) => String(Math.min(65535, Math.max(0, count | 0))));
      await runTool('stty', ['-F', path, 'rows', rows ?? '', 'cols', columns ?? '']).catch(() => {}); // It has ended.
    }
  };
  return (size) => {
    wanted = size;
    if (isSetting) return;
    isSetting = true;
    // Never rejects.
    void set().finally(() => {
      isSetting = false;
    });
  };
}

export interface TerminalSize {
  columns: number;
  rows: number;
}

/** The terminal that the process `script` has made, `/dev/pts/N`; undefined when it has ended, or makes none. */
async function terminalOf(script: number, clock: Clock, signal: AbortSignal): Promise<string | undefined> {
  for (let waitedMs = 0; waitedMs < patienceMs && !signal.aborted; waitedMs += lookEveryMs) {
    for (const { pid } of childrenOf(script)) {
      const path = inputOf(pid);
      if (path?.startsWith('/dev/pts/')) return path;
    }
    await sleep(clock, lookEveryMs, signal).catch(() => {}); // Aborted: that is looked at next.
  }
  return undefined;
}

function inputOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/fd/0`);
  } catch {
    return undefined; // It has just ended.
  }
}
