import { type ChildProcess, spawn } from 'node:child_process';
import { messageOf } from '../../../../lib/errors.ts';
import { signalGroup } from '../../../../lib/processes.ts';
import { resolveCommand } from './executable.ts';

export interface ExecOptions {
  environment: Readonly<Record<string, string>>;
  cwd: string;
  timeoutMs: number;
  signal: AbortSignal | undefined;
}

export interface ExecResult {
  exitCode: number;
  output: string;
}

/** Of the output, this much is kept; a command that writes more than `readBytesMax` is ended. */
const keptBytesMax = 64 * 1024;
const readBytesMax = 16 * 1024 * 1024;
/** After its end: what it has written may still be in the pipe, and a child that it left behind may keep it open. */
const lingerMs = 100;
/** Timers take no more (24 days). */
const timeoutMaxMs = 2 ** 31 - 1;

/**
 * Runs a command with the environment and in the folder of a container, in a process group of its own, and returns what
 * became of it: never rejects, and never waits longer than `timeoutMs`, whatever the command and its children do.
 */
export function runBeside(command: readonly string[], options: ExecOptions): Promise<ExecResult> {
  const { environment, cwd, timeoutMs, signal } = options;
  let child: ChildProcess;
  try {
    const search = { root: environment.KITTIWAKE_ROOT ?? cwd, cwd, path: undefined };
    const [program = '', ...args] = resolveCommand(command, search);
    child = spawn(program, args, { cwd, env: environment, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (error) {
    return Promise.resolve({ exitCode: 127, output: messageOf(error) });
  }
  return new Promise((resolve) => {
    const kept: Buffer[] = [];
    let readBytes = 0;
    let lingering: NodeJS.Timeout | undefined;
    const finish = (exitCode: number, text?: string) => {
      clearTimeout(timer);
      clearTimeout(lingering);
      signal?.removeEventListener('abort', onAbort);
      for (const stream of [child.stdout, child.stderr]) stream?.destroy();
      const output = text ?? Buffer.concat(kept).subarray(0, keptBytesMax).toString('utf8');
      resolve({ exitCode, output });
    };
    const cut = (exitCode: number, why: string) => {
      if (child.pid !== undefined && child.exitCode === null) signalGroup(child.pid, 'SIGKILL');
      finish(exitCode, why);
    };
    const onAbort = () => cut(124, 'the command was ended');
    const timer = setTimeout(
      () => cut(124, `command timed out after ${timeoutMs} ms`),
      Math.min(timeoutMs, timeoutMaxMs),
    );
    signal?.addEventListener('abort', onAbort, { once: true });
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('error', () => {}); // A pipe that breaks ends the output, not the command.
      stream?.on('data', (chunk: Buffer) => {
        if (readBytes < keptBytesMax) kept.push(chunk);
        readBytes += chunk.length;
        if (readBytes > readBytesMax) cut(124, `the command wrote more than ${readBytesMax} bytes: it was ended`);
      });
    }
    child.on('error', (error) => finish(127, error.message));
    child.once('exit', (code) => {
      lingering = setTimeout(() => finish(code ?? 137), lingerMs);
    });
    child.once('close', (code) => finish(code ?? 137));
    if (signal?.aborted) onAbort();
  });
}
