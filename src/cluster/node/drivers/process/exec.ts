import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { constants } from 'node:os';
import type { Clock } from '../../../../lib/clock.ts';
import { messageOf } from '../../../../lib/errors.ts';
import { endProgram, signalGroup } from '../../../../lib/processes.ts';
import { findProgram } from '../../../../lib/system-programs.ts';
import type { Logger } from '../../../../observe/log.ts';
import type { Streams, StreamsWanted } from '../../driver.ts';
import { nodeErrors } from '../../errors.ts';
import { inTerminal, resizerOf } from '../terminal.ts';
import { resolveCommand } from './executable.ts';

export interface ExecOptions extends StreamsWanted {
  environment: Readonly<Record<string, string>>;
  cwd: string;
  clock: Clock;
  log: Logger;
  signal: AbortSignal;
}

/** All that a command starts has it in its environment, and no other. */
const markName = 'KITTIWAKE_EXEC';

/** Runs a command with the environment and in the folder of a container, in a process group of its own. */
export async function runBeside(command: readonly string[], options: ExecOptions): Promise<Streams> {
  const { cwd, clock, hasStdin, hasTerminal, log, signal } = options;
  signal.throwIfAborted();
  const id = randomUUID();
  const search = { root: options.environment.KITTIWAKE_ROOT ?? cwd, cwd, path: undefined };
  const resolved = resolveCommand(command, search);
  const asked = { ...options.environment, [markName]: id };
  const argv = hasTerminal ? onTerminal(resolved, asked) : resolved;
  const env = hasTerminal ? { ...asked, SHELL: '/bin/sh' } : asked;
  const [program = '', ...args] = argv;
  // Without input a terminal's would be at its end, which is a key that is pressed.
  const input = hasStdin || hasTerminal ? 'pipe' : 'ignore';
  const child = spawn(program, args, { cwd, env, detached: true, stdio: [input, 'pipe', 'pipe'] });
  const { pid = 0, stdin, stdout, stderr } = child;
  const exited = new Promise<number>((resolve) => {
    child.once('exit', (code, name) => resolve(code ?? 128 + (name === null ? 9 : constants.signals[name])));
  });
  // A pipe that breaks ends the output, not the command.
  for (const stream of [stdin, stdout, stderr]) stream?.on('error', () => {});
  const end = () => {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
      signalGroup(pid, 'SIGKILL');
      // What runs on a terminal has a group of its own, as has what a shell runs in the background.
      endProgram({ mark: `${markName}=${id}` }).catch((error) =>
        log.warn({ reason: messageOf(error) }, 'processes of a command that was given up may be left'),
      );
    }
    for (const stream of [stdin, stdout, stderr]) stream?.destroy();
  };
  const ended = new AbortController();
  signal.addEventListener('abort', end, { once: true });
  child.on('error', () => {}); // It is thrown below; later ones are of signals that came too late.
  child.once('exit', () => ended.abort());
  child.once('close', () => signal.removeEventListener('abort', end));
  await once(child, 'spawn'); // Or what hinders it is thrown.
  if (!stdout || !stderr) throw new Error('the command has no output: its pipes could not be made');
  if (!hasTerminal) return { stdin: stdin ?? undefined, stdout, stderr, exited };
  const resize = resizerOf(pid, clock, ended.signal);
  return { stdin: hasStdin ? (stdin ?? undefined) : undefined, stdout, stderr: undefined, exited, resize };
}

/** What runs the command on a terminal of its own, with SHELL as /bin/sh, where script takes its shell from. */
export function onTerminal(command: readonly string[], environment: Readonly<Record<string, string>>): string[] {
  const script = findProgram('script');
  if (script === undefined) {
    const what = 'give a command a terminal: install script (util-linux), or run it without one (-i without -t)';
    throw nodeErrors.STREAM_UNSUPPORTED({ driver: 'process', what });
  }
  const shell = environment.SHELL === undefined ? ['-u', 'SHELL'] : [`SHELL=${environment.SHELL}`];
  const term = environment.TERM === undefined ? ['TERM=xterm'] : [];
  const [, ...args] = inTerminal(['env', ...shell, ...term, ...command]);
  return [script, ...args];
}
