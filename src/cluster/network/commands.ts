import { spawn } from 'node:child_process';
import { systemPath } from '../../lib/system-programs.ts';
import { networkErrors } from './errors.ts';

/** One of the system's commands takes milliseconds; a kernel that is busy with thousands of rules, seconds. */
const limitMs = 30_000;
const outputMaxBytes = 16 * 2 ** 20;
const saidMaxLength = 500;

/**
 * Runs one of the system's commands with this input, and gives its output. Errors: NETWORK_COMMAND_FAILED, which says
 * what the command said; the reason of `signal`, which ends the command.
 */
export function run(argv: readonly [string, ...string[]], input: string, signal?: AbortSignal): Promise<string> {
  signal?.throwIfAborted();
  const [command, ...args] = argv;
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], env: plainEnvironment() });
  const [output, errors] = [new Bounded(outputMaxBytes), new Bounded(outputMaxBytes)];
  const fail = (said: string) =>
    reject(networkErrors.NETWORK_COMMAND_FAILED({ command: argv.join(' '), said: said.slice(0, saidMaxLength) }));
  const end = () => child.kill('SIGKILL');
  const timeout = setTimeout(() => {
    fail(`it has not ended within ${limitMs / 1000} s`);
    end();
  }, limitMs);
  signal?.addEventListener('abort', end);
  child.stdout.on('data', (chunk: Buffer) => output.add(chunk));
  child.stderr.on('data', (chunk: Buffer) => errors.add(chunk));
  child.stdin.on('error', () => {}); // It ended before it had read all: its exit says why.
  child.on('error', (error) => fail(error.message));
  child.on('close', (code, killedBy) => {
    clearTimeout(timeout);
    signal?.removeEventListener('abort', end);
    if (signal?.aborted) reject(signal.reason);
    else if (code === 0) resolve(output.text());
    else fail(errors.text().trim() || output.text().trim() || `exit ${killedBy ?? code}`);
  });
  child.stdin.end(input);
  return promise;
}

/** `ip` with these lines, which stand or fall one by one: the first that fails ends it. */
export const ip = (lines: readonly string[], signal?: AbortSignal) =>
  run(['ip', '-batch', '-'], `${lines.join('\n')}\n`, signal);

/** One transaction of nftables: all of it, or nothing. */
export const nft = (transaction: string, signal?: AbortSignal) => run(['nft', '-f', '-'], transaction, signal);

/** Not the platform's: `LANG` would change what the commands say. */
const plainEnvironment = () => ({ PATH: systemPath(), LC_ALL: 'C' });

class Bounded {
  readonly #chunks: Buffer[] = [];
  #left: number;

  constructor(maxBytes: number) {
    this.#left = maxBytes;
  }

  add(chunk: Buffer): void {
    const taken = chunk.subarray(0, this.#left);
    this.#left -= taken.length;
    if (taken.length > 0) this.#chunks.push(taken);
  }

  text(): string {
    return Buffer.concat(this.#chunks).toString();
  }
}
