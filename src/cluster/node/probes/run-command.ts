import { timerMaxMs } from '../../../lib/clock.ts';
import { messageOf } from '../../../lib/errors.ts';
import type { RunningContainer, Streams } from '../driver.ts';

export interface CommandResult {
  exitCode: number;
  output: string;
}

/** Of the output, this much is kept; a command that writes more than `readBytesMax` is ended. */
const keptBytesMax = 64 * 1024;
const readBytesMax = 16 * 1024 * 1024;
/** After its end: what it has written may still be in the pipe, and a child that it left behind may keep it open. */
const lingerMs = 100;

/**
 * Runs a command in a container to its end (probes, hooks) and returns what became of it: never rejects, and never
 * waits longer than `timeoutMs`, whatever the command and its children do. It is ended then, or when `signal` aborts,
 * which counts as exit code 124; what cannot be run has 127, and the output says why.
 */
export function runCommand(
  container: Pick<RunningContainer, 'exec'>,
  command: readonly string[],
  { timeoutMs, signal }: { timeoutMs: number; signal?: AbortSignal | undefined },
): Promise<CommandResult> {
  return new Promise((resolve) => {
    const ending = new AbortController();
    const kept: Buffer[] = [];
    let readBytes = 0;
    let lingering: NodeJS.Timeout | undefined;
    const finish = (exitCode: number, text?: string) => {
      clearTimeout(timer);
      clearTimeout(lingering);
      signal?.removeEventListener('abort', onAbort);
      ending.abort();
      resolve({ exitCode, output: text ?? Buffer.concat(kept).subarray(0, keptBytesMax).toString('utf8') });
    };
    const onAbort = () => finish(124, 'the command was ended');
    const timer = setTimeout(
      () => finish(124, `command timed out after ${timeoutMs} ms`),
      Math.min(timeoutMs, timerMaxMs),
    );
    signal?.addEventListener('abort', onAbort, { once: true });
    const follow = async ({ stdout, stderr, exited }: Streams) => {
      const outputs = [stdout, stderr].filter((stream) => stream !== undefined);
      const ended = outputs.map((stream) => new Promise<void>((done) => stream.once('close', done)));
      for (const stream of outputs) {
        stream.on('error', () => {}); // A pipe that breaks ends the output, not the command.
        stream.on('data', (chunk: Buffer) => {
          if (readBytes < keptBytesMax) kept.push(chunk);
          readBytes += chunk.length;
          if (readBytes > readBytesMax) finish(124, `the command wrote more than ${readBytesMax} bytes: it was ended`);
        });
      }
      const exitCode = await exited;
      if (ending.signal.aborted) return;
      lingering = setTimeout(() => finish(exitCode), lingerMs);
      await Promise.all(ended);
      finish(exitCode);
    };
    if (signal?.aborted) {
      onAbort();
      return;
    }
    const wanted = { hasStdin: false, hasTerminal: false };
    container
      .exec(command, wanted, ending.signal)
      .then(follow)
      .catch((error) => finish(127, messageOf(error)));
  });
}
