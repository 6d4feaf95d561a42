import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { bootId } from '../../boot-id.ts';

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

/** Field 22 of /proc/PID/stat, ticks since boot, made unique over boots; undefined for a zombie. */
export function startFromStat(stat: string): string | undefined {
  // The second field is the program's name in brackets, which may itself hold brackets and spaces.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state, ticks] = [fields[0], fields[19]];
  return state === 'Z' || state === 'X' || ticks === undefined ? undefined : `${bootId()}/${ticks}`;
}

/** Sends `signal` to each process of the group; false when the group is empty. */
export function signalGroup(group: number, signal: NodeJS.Signals | number): boolean {
  try {
    process.kill(-group, signal);
    return true;
  } catch (error) {
    // ESRCH: nobody is left. EPERM (macOS, for zombies only): nobody that a signal could reach.
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ESRCH' || code === 'EPERM') return false;
    throw error;
  }
}

/** What goes on forking while it is looked for is looked for again, this often. */
const rounds = 20;

/**
 * Kills every process whose environment has the line `marker` (Linux; elsewhere none is found), and those that these
 * make meanwhile: it is done when two looks in a row, or the first, find none.
 */
export async function killMarked(marker: string): Promise<void> {
  if (process.platform !== 'linux') return;
  const needle = Buffer.from(`${marker}\0`);
  for (let round = 0, quiet = 0; round < rounds && quiet < 2; round++) {
    const killed = await killMarkedOnce(needle);
    if (round === 0 && killed === 0) return;
    quiet = killed === 0 ? quiet + 1 : 0;
  }
}

async function killMarkedOnce(needle: Buffer): Promise<number> {
  let killed = 0;
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  for (const pid of pids) {
    try {
      const environment = await readFile(`/proc/${pid}/environ`);
      const at = environment.indexOf(needle);
      if (at !== 0 && (at < 0 || environment[at - 1] !== 0)) continue;
      process.kill(pid, 'SIGKILL');
      killed++;
    } catch {
      // Gone, or another user's: not ours.
    }
  }
  return killed;
}
