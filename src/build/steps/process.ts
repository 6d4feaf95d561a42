import { spawn } from 'node:child_process';
import { stripVTControlCharacters } from 'node:util';
import { endProgram, signalGroup } from '../../lib/processes.ts';
import { announceStep, forgetStep, markVariable, newMark, noteStep } from './left-steps.ts';
import type { BuildLog } from './log.ts';

export interface ProcessStep {
  command: string;
  args: readonly string[];
  cwd: string;
  /** The whole environment: nothing of the platform's own reaches a step. */
  env: Record<string, string>;
  log: Pick<BuildLog, 'write'>;
  /** Kills the step with all that it started. */
  signal: AbortSignal;
  /** Where steps that run are noted, so that those of a crashed platform are found. */
  pidDir: string;
  /** Standard output goes here instead of into the log. */
  onStdout?: (chunk: Buffer) => void;
  stdin?: string | Buffer;
  /** The source's own code runs, or its dependencies': it may start processes that leave the step's group. */
  runsForeignCode?: boolean;
}

/** How long a process that left the group may hold the pipes after the step's own end. */
const pipesMs = 1000;

/**
 * Runs a program as the head of its own process group and resolves with its exit code; whatever it left running dies
 * with it, also what left the group (where there is /proc). Rejects with the signal's reason when that aborts, and when
 * the program cannot be started.
 */
export async function runProcess(step: ProcessStep): Promise<number> {
  step.signal.throwIfAborted();
  const mark = newMark();
  await announceStep(step.pidDir, mark);
  step.signal.throwIfAborted();
  const env = { ...step.env, [markVariable]: mark };
  const child = spawn(step.command, step.args, { cwd: step.cwd, env, detached: true, stdio: 'pipe' });
  const { pid } = child;
  const killGroup = () => {
    if (pid !== undefined) signalGroup(pid, 'SIGKILL');
  };
  let pipesTimer: NodeJS.Timeout | undefined;
  const exited = new Promise<number>((resolve, reject) => {
    const end = (code: number | null, killedBy: NodeJS.Signals | null) =>
      resolve(code ?? (killedBy === null ? 1 : 128));
    child.on('error', reject);
    child.on('exit', (code, killedBy) => {
      killGroup(); // So that a process which it left behind cannot hold the pipes open.
      pipesTimer = setTimeout(() => {
        end(code, killedBy);
        child.stdout?.destroy();
        child.stderr?.destroy();
      }, pipesMs);
    });
    child.on('close', end);
  });
  exited.catch(() => {}); // When what follows throws, nobody waits for it: that error says why.
  const print = (chunk: Buffer) => step.log.write(stripVTControlCharacters(chunk.toString('utf8')));
  // Without file descriptors left there are no pipes, and 'error' says so.
  child.stdout?.on('data', step.onStdout ?? print);
  child.stderr?.on('data', print);
  for (const pipe of [child.stdout, child.stderr]) pipe?.on('error', () => {}); // The exit code says what came of it.
  child.stdin?.on('error', () => {}); // The program may end without reading what it is given: its exit code says why.
  child.stdin?.end(step.stdin);
  step.signal.addEventListener('abort', killGroup, { once: true });
  try {
    if (pid !== undefined) await noteStep(step.pidDir, mark, pid);
    return await exited;
  } finally {
    clearTimeout(pipesTimer);
    step.signal.removeEventListener('abort', killGroup);
    if (step.runsForeignCode) await endProgram({ mark: `${markVariable}=${mark}` });
    await forgetStep(step.pidDir, mark);
    step.signal.throwIfAborted();
  }
}
