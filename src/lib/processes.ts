/** What Node does not know of the system's processes: groups, those that carry a mark, and what /proc tells. */
import { readdir, readFile } from 'node:fs/promises';

/**
 * From the text of /proc/PID/stat: the state, and the start time in ticks since boot, which with the pid tells a process
 * from a later one (proc(5): fields 3 and 22).
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
