/** The system's processes, as far as Node does not know them: which run, groups, and those that carry a mark. */
import { readFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';

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

/**
 * From the text of /proc/PID/stat: the state, and the start time in ticks since boot, which tells a process from a
 * later one with its number (proc(5): fields 3 and 22).
 */
export function parseStat(stat: string): { state: string | undefined; startTicks: string | undefined } {
  // The second field is the program's name in brackets, which may itself hold brackets and spaces.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { state: fields[0], startTicks: fields[19] };
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

/**
 * Ends, with SIGKILL, what is left of a program that led the process group `group`, which must still be its own: all of
 * the group, and by `mark`, a line of their environment, those that have left it (Linux).
 */
export async function endProgram({ group, mark }: { group?: number | undefined; mark: string }): Promise<void> {
  if (group !== undefined) signalGroup(group, 'SIGKILL');
  await killMarked(mark);
}

/** Whether a process that ended by this signal was ended by somebody, rather than by its own doing. */
export function isKill(signal: NodeJS.Signals | null): boolean {
  return signal === 'SIGKILL' || signal === 'SIGTERM' || signal === 'SIGINT' || signal === 'SIGHUP';
}

/** What goes on forking while it is looked for is looked for again, this often. */
const rounds = 20;

/**
 * Kills every process whose environment has the line `marker` (Linux; elsewhere none is found), and those that these
 * make meanwhile: it is done when two looks in a row, or the first, find none.
 */
async function killMarked(marker: string): Promise<void> {
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

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return ''; // It has ended, or this system has no /proc.
  }
}
