import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { endProgram, parseStat } from '../../lib/processes.ts';

/** In the environment of a step and of all that it starts: those that leave its process group are found by it. */
export const markVariable = 'KITTIWAKE_STEP';

export const newMark = (): string => randomUUID();

/** Notes a step in a file named after its mark, so that it is found when whoever started it is gone. */
export async function noteStep(pidDir: string, mark: string, pid: number): Promise<void> {
  const startTime = await startTimeOf(pid);
  if (startTime === undefined) return;
  await mkdir(pidDir, { recursive: true });
  await writeFile(join(pidDir, mark), `${pid} ${startTime}`);
}

export async function forgetStep(pidDir: string, mark: string): Promise<void> {
  await rm(join(pidDir, mark), { force: true });
}

/** Kills the steps that are noted in the folder or in those within it, and removes it. */
export async function endLeftSteps(pidDir: string): Promise<number> {
  let killed = 0;
  for (const entry of await readdir(pidDir, { withFileTypes: true }).catch(() => [] /* never built anything */)) {
    const path = join(pidDir, entry.name);
    if (entry.isDirectory()) {
      killed += await endLeftSteps(path);
      continue;
    }
    const note = await readFile(path, 'utf8').catch(() => '' /* ended meanwhile */);
    const [pid = '', startTime = ''] = note.split(' ');
    const isThere = startTime !== '' && startTime === (await startTimeOf(Number(pid)));
    if (isThere) killed++;
    await endProgram({ group: isThere ? Number(pid) : undefined, mark: `${markVariable}=${entry.name}` });
  }
  await rm(pidDir, { recursive: true, force: true });
  return killed;
}

/** With the pid it names a process for good. Undefined when it is gone, or without /proc. */
async function startTimeOf(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '' /* gone */);
  return parseStat(stat).startTicks;
}
