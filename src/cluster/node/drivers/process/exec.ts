import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { signalGroup } from '../../../../lib/processes.ts';
import type { Streams, StreamsWanted } from '../../driver.ts';
import { nodeErrors } from '../../errors.ts';
import { resolveCommand } from './executable.ts';

export interface ExecOptions extends StreamsWanted {
  environment: Readonly<Record<string, string>>;
  cwd: string;
  signal: AbortSignal;
}

/** Runs a command with the environment and in the folder of a container, in a process group of its own. */
export async function runBeside(command: readonly string[], options: ExecOptions): Promise<Streams> {
  const { environment, cwd, hasStdin, hasTerminal, signal } = options;
  if (hasTerminal) {
    const what = 'give a command a terminal: run it without one (-i without -t)';
    throw nodeErrors.STREAM_UNSUPPORTED({ driver: 'process', what });
  }
  signal.throwIfAborted();
  const search = { root: environment.KITTIWAKE_ROOT ?? cwd, cwd, path: undefined };
  const [program = '', ...args] = resolveCommand(command, search);
  const stdio = [hasStdin ? 'pipe' : 'ignore', 'pipe', 'pipe'] as const;
  const child = spawn(program, args, { cwd, env: environment, detached: true, stdio: [...stdio] });
  const { stdin, stdout, stderr } = child;
  const exited = new Promise<number>((resolve) => {
    child.once('exit', (code, name) => resolve(code ?? 128 + (name === null ? 9 : constants.signals[name])));
  });
  // A pipe that breaks ends the output, not the command.
  for (const stream of [stdin, stdout, stderr]) stream?.on('error', () => {});
  const end = () => {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
      signalGroup(child.pid, 'SIGKILL');
    }
    for (const stream of [stdin, stdout, stderr]) stream?.destroy();
  };
  signal.addEventListener('abort', end, { once: true });
  child.on('error', () => {}); // It is thrown below; later ones are of signals that came too late.
  child.once('close', () => signal.removeEventListener('abort', end));
  await once(child, 'spawn'); // Or what hinders it is thrown.
  if (!stdout || !stderr) throw new Error('the command has no output: its pipes could not be made');
  return { stdin: stdin ?? undefined, stdout, stderr, exited };
}
