import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, rmSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../../../../lib/clock.ts';
import { signalGroup } from '../../../../lib/processes.ts';
import type { Streams, StreamsWanted } from '../../driver.ts';
import { inTerminal, resizerOf } from '../terminal.ts';
import { toolEnvironment } from '../tools.ts';
import type { Arrivals } from './arrivals.ts';
import { errorIn, type OciRuntime } from './oci-runtime.ts';
import { pidIn, send } from './started.ts';

export interface ExecOptions extends StreamsWanted {
  /** The OCI runtime's name of the container. */
  id: string;
  command: readonly string[];
  runtime: OciRuntime;
  started: Arrivals;
  clock: Clock;
  signal: AbortSignal;
}

/** An OCI runtime that has not started a command after this long, or not ended with it, is stuck. */
const patienceMs = 5_000;
const lookEveryMs = 5;

/** Runs a command in a container. Rejects, in the runtime's words, when it cannot be run. */
export async function execIn(options: ExecOptions): Promise<Streams> {
  const { id, command, runtime, started, clock, hasStdin, hasTerminal, signal } = options;
  signal.throwIfAborted();
  const name = `exec-${randomUUID()}`;
  const startedPath = join(started.dir, name);
  const logPath = `${startedPath}.log`;
  const argv = runtime.exec({ id, command, startedPath, logPath, hasTerminal });
  const [program = '', ...args] = hasTerminal ? inTerminal(argv) : argv;
  // Without input a terminal's would be at its end, which is a key that is pressed.
  const input = hasStdin || hasTerminal ? 'pipe' : 'ignore';
  const child = spawn(program, args, { env: toolEnvironment, detached: true, stdio: [input, 'pipe', 'pipe'] });
  const { stdin, stdout, stderr } = child;
  const exited = new Promise<number>((resolve) => {
    child.once('exit', (code, by) => resolve(code ?? 128 + (by === null ? 9 : constants.signals[by])));
    child.once('error', () => resolve(127));
  });
  for (const stream of [stdin, stdout, stderr]) stream?.on('error', () => {}); // It ends the output, not the command.
  const isOver = () => child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
  const killRuntime = () => {
    if (!isOver()) signalGroup(child.pid ?? 0, 'SIGKILL');
  };
  const kill = () => {
    const pid = pidIn(startedPath);
    if (isOver() || pid === undefined) return;
    send(pid, 'SIGKILL');
    // The runtime may have to wait for what the command has started, which holds its output: it is ended, but only when
    // it has taken note of the command's end. Else that were left to the machine's first process, and the container
    // would not have ended until that cared.
    let waitedMs = 0;
    const look = () => {
      if (existsSync(`/proc/${pid}`) && waitedMs < patienceMs) clock.after(lookEveryMs, look);
      else killRuntime();
      waitedMs += lookEveryMs;
    };
    look();
  };
  const ending = new AbortController();
  const end = () => {
    // One that is just starting is known in a moment: until then the runtime alone could be killed, and not it.
    if (existsSync(startedPath)) kill();
    else clock.after(patienceMs, killRuntime);
    for (const stream of [stdin, stdout, stderr]) stream?.destroy();
  };
  signal.addEventListener('abort', end, { once: true });
  child.once('close', () => {
    signal.removeEventListener('abort', end);
    ending.abort();
    started.forget(name);
    rmSync(logPath, { force: true });
  });
  const failing = new Promise<never>((_, reject) => child.once('error', reject));
  child.on('error', () => {}); // Of one that has started, it is a signal that came too late.
  await Promise.race([once(child, 'spawn'), failing]);
  const isStarted = await started.until(name, exited);
  if (signal.aborted) kill();
  signal.throwIfAborted();
  const error = isStarted ? undefined : errorIn(logPath);
  if (error !== undefined) throw new Error(`OCI runtime exec failed: ${error}: unknown`);
  if (!stdout || !stderr) throw new Error('the command has no output: its pipes could not be made');
  if (!hasTerminal) return { stdin: stdin ?? undefined, stdout, stderr, exited };
  const resize = resizerOf(child.pid ?? 0, clock, ending.signal);
  return { stdin: hasStdin ? (stdin ?? undefined) : undefined, stdout, stderr: undefined, exited, resize };
}
