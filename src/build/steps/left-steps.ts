import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isRunning, type ProcessIdentity, startOf } from '../../lib/process-identity.ts';
import { endProgram } from '../../lib/processes.ts';

/** In the environment of a step and of all that it starts: those that leave its process group are found by it. */
export const markVariable = 'KITTIWAKE_STEP';

/**
 * Notes a step that is about to start in a file named after its mark, which it returns. So it is found when whoever
 * started it is gone, be it in the next moment.
 */
export async function announceStep(pidDir: string): Promise<string> {
  const mark = randomUUID();
  await mkdir(pidDir, { recursive: true });
  await writeFile(join(pidDir, mark), '');
  return mark;
}

/** Adds to the note which process it is: where there is no /proc, its group is all that can be found. */
export async function noteStep(pidDir: string, mark: string, pid: number): Promise<void> {
  const startedAt = startOf(pid);
  if (startedAt === undefined) return;
  await writeFile(join(pidDir, mark), JSON.stringify({ pid, startedAt }));
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
    const step = identityIn(note);
    const isThere = step !== undefined && isRunning(step);
    if (isThere) killed++;
    await endProgram({ group: isThere ? step.pid : undefined, mark: `${markVariable}=${entry.name}` });
  }
  await rm(pidDir, { recursive: true, force: true });
  return killed;
}

/** Undefined for a note of a step that was about to start, one that was cut short, or of another version. */
function identityIn(note: string): ProcessIdentity | undefined {
  try {
    const { pid, startedAt }: Partial<ProcessIdentity> = JSON.parse(note);
    return Number.isSafeInteger(pid) && typeof startedAt === 'string' ? { pid: Number(pid), startedAt } : undefined;
  } catch {
    return undefined;
  }
}
