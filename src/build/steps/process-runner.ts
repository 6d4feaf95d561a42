import { spawn } from 'node:child_process';
import { delimiter, join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { endProgram, signalGroup } from '../../lib/processes.ts';
import { networkEnvironment, stepEnvironment } from './environment.ts';
import { announceStep, forgetStep, markVariable, noteStep } from './left-steps.ts';
import type { Program, StepPlace, StepResult, StepRunner } from './step-runner.ts';

/**
 * Runs programs as processes of this machine, with the rights of the platform. Those that run are noted in `pidDir`, so
 * that those of a crashed platform are found. Nothing of the platform's own environment reaches them.
 */
export function processRunner(pidDir: string): StepRunner {
  return { run: (program, place, signal) => runProcess(program, place, signal, pidDir) };
}

/** How long a process that left the group may hold the pipes after the program's own end. */
const pipesMs = 1000;

/**
 * Each is the head of its own process group; whatever it left running dies with it, also what left the group (where
 * there is /proc).
 */
async function runProcess(
  program: Program,
  place: StepPlace,
  signal: AbortSignal,
  pidDir: string,
): Promise<StepResult> {
  signal.throwIfAborted();
  const mark = await announceStep(pidDir);
  signal.throwIfAborted();
  const [command = '', ...args] = program.command;
  const env = { ...environmentOf(program, place), [markVariable]: mark };
  const child = spawn(command, args, { cwd: place.folder, env, detached: true, stdio: 'pipe' });
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
  const print = (chunk: Buffer) => place.print(stripVTControlCharacters(chunk.toString('utf8')));
  // Without file descriptors left there are no pipes, and 'error' says so.
  child.stdout?.on('data', (chunk: Buffer) => (place.onOutput ? place.onOutput(chunk) : print(chunk)));
  child.stderr?.on('data', print);
  for (const pipe of [child.stdout, child.stderr]) pipe?.on('error', () => {}); // The exit code says what came of it.
  child.stdin?.on('error', () => {}); // The program may end without reading what it is given: its exit code says why.
  child.stdin?.end(place.input);
  signal.addEventListener('abort', killGroup, { once: true });
  try {
    if (pid !== undefined) await noteStep(pidDir, mark, pid);
    return { exitCode: await exited };
  } finally {
    clearTimeout(pipesTimer);
    signal.removeEventListener('abort', killGroup);
    if (program.runsForeignCode) await endProgram({ mark: `${markVariable}=${mark}` });
    await forgetStep(pidDir, mark);
    signal.throwIfAborted();
  }
}

function environmentOf({ env, path, usesNetwork }: Program, { folder, home }: StepPlace): Record<string, string> {
  const all = stepEnvironment(home, { ...(usesNetwork ? networkEnvironment() : {}), ...env });
  return { ...all, PATH: [...path.map((inner) => join(folder, inner)), all.PATH].join(delimiter) };
}
