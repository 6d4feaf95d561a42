import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import type { BuildLog } from './log.ts';

export interface Step {
  command: string;
  args: readonly string[];
  cwd: string;
  /** The whole environment: nothing of the platform's own reaches a step. */
  env: Record<string, string>;
  log: BuildLog;
  /** Kills the step with all that it started. */
  signal: AbortSignal;
  /** Where steps that run are noted, so that those of a crashed platform are found. */
  pidDir: string;
  /** Standard output goes here instead of into the log. */
  onStdout?: (chunk: Buffer) => void;
  stdin?: string | Buffer;
}

/**
 * Runs a program as the head of its own process group and resolves with its exit code; whatever it left running dies
 * with it. Rejects with the signal's reason when that aborts, and when the program cannot be started.
 */
export async function runStep(step: Step): Promise<number> {
  step.signal.throwIfAborted();
  const note = join(step.pidDir, randomUUID());
  const child = spawn(step.command, step.args, { cwd: step.cwd, env: step.env, detached: true, stdio: 'pipe' });
  const { pid } = child;
  const killGroup = () => {
    if (pid !== undefined) killProcessGroup(pid);
  };
  const exited = new Promise<number>((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', killGroup); // So that a process which it left behind cannot hold the pipes open.
    child.on('close', (code, killedBy) => resolve(code ?? (killedBy === null ? 1 : 128)));
  });
  const print = (chunk: Buffer) => step.log.write(stripVTControlCharacters(chunk.toString('utf8')));
  child.stdout.on('data', step.onStdout ?? print);
  child.stderr.on('data', print);
  child.stdin.on('error', () => {}); // The program may end without reading what it is given: its exit code says why.
  child.stdin.end(step.stdin);
  step.signal.addEventListener('abort', killGroup, { once: true });
  try {
    if (pid !== undefined) await noteProcess(note, pid);
    return await exited;
  } finally {
    step.signal.removeEventListener('abort', killGroup);
    await rm(note, { force: true });
    step.signal.throwIfAborted();
  }
}

/** Kills the steps that an earlier run of the platform left behind when it was killed itself. */
export async function killLeftoverSteps(pidDir: string): Promise<number> {
  let killed = 0;
  for (const name of await readdir(pidDir).catch(() => [] /* never built anything */)) {
    const note = await readFile(join(pidDir, name), 'utf8').catch(() => '' /* ended meanwhile */);
    const [pid = '', startTime = ''] = note.split(' ');
    if (startTime !== '' && startTime === (await startTimeOf(Number(pid)))) {
      killProcessGroup(Number(pid));
      killed++;
    }
    await rm(join(pidDir, name), { force: true });
  }
  return killed;
}

async function noteProcess(path: string, pid: number): Promise<void> {
  const startTime = await startTimeOf(pid);
  if (startTime === undefined) return;
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(path, `${pid} ${startTime}`);
}

/** Field 22 of /proc/PID/stat: with the pid it names a process for good. Undefined when gone, or without /proc. */
async function startTimeOf(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '' /* gone */);
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
}

function killProcessGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && (error.code === 'ESRCH' || error.code === 'EPERM'))) throw error;
    // ESRCH: all of it is gone already. EPERM: macOS says so of a group whose members are all zombies.
  }
}
