import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { bootId } from './boot-id.ts';
import { parseStat } from './processes.ts';

/** A process, told apart from a later one that got the same number. */
export interface ProcessIdentity {
  pid: number;
  /** When it started, in the system's own words: the same for all its life, another for its successor. */
  startedAt: string;
}

/** Whether that very process still runs; one that has ended and waits for its parent (a zombie) does not. */
export function isRunning({ pid, startedAt }: ProcessIdentity): boolean {
  return startOf(pid) === startedAt;
}

/** When the process `pid` started; undefined when there is none, or only its zombie. */
export function startOf(pid: number): string | undefined {
  if (process.platform === 'linux') {
    try {
      return startFromStat(readFileSync(`/proc/${pid}/stat`, 'latin1'));
    } catch {
      return undefined; // No such process.
    }
  }
  try {
    const [state = '', ...start] = execFileSync('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], { encoding: 'utf8' })
      .trim()
      .split(/\s+/);
    return state.startsWith('Z') ? undefined : start.join(' ');
  } catch {
    return undefined; // ps fails when there is no such process.
  }
}

/** The start time in the text of /proc/PID/stat, made unique over boots; undefined for a zombie. */
export function startFromStat(stat: string): string | undefined {
  const { state, startTicks } = parseStat(stat);
  return state === 'Z' || state === 'X' || startTicks === undefined ? undefined : `${bootId()}/${startTicks}`;
}
