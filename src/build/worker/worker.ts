import { type ChildProcess, fork } from 'node:child_process';
import type { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import type { Mutexes } from '../../lib/mutexes.ts';
import { isKill } from '../../lib/processes.ts';
import { BuilderDied, type BuildJob, type BuildOutcome } from '../builder.ts';
import { BuildLog } from '../steps/log.ts';
import { LentLocks } from './lent-locks.ts';
import type { FromWorker, ToWorker } from './protocol.ts';

export interface WorkerOptions {
  /** The main module of the process. */
  program: string;
  /** How often a worker that has a build is looked after. */
  checkMs: number;
  /** Hung after so many checks without a sign of life; counted, so that a machine's sleep counts for nothing. */
  silentChecksMax: number;
  /** The same before it has said anything. */
  silentChecksMaxAtStart: number;
  /** How long a build may take to end when it is cancelled. */
  cancelMs: number;
  /** Of the JavaScript heap; sources and layers go through it in pieces. */
  heapMb: number;
}

export const workerDefaults: WorkerOptions = {
  program: fileURLToPath(new URL('./main.ts', import.meta.url)),
  checkMs: 1_000,
  silentChecksMax: 10,
  silentChecksMaxAtStart: 60,
  cancelMs: 5_000,
  heapMb: 512,
};

/** How long its end waits for what it printed. */
const lastWordsMs = 500;

/** What the control process waits for. */
interface Attempt {
  onProgress: (message: string, log: string) => void;
  resolve: (outcome: BuildOutcome) => void;
  reject: (error: Error) => void;
}

/**
 * One process for builds, one at a time. It ends with this process (its IPC channel closes), is killed when it hangs or
 * does not stop a cancelled build, and never keeps this process alive while it idles.
 */
export class BuildWorker {
  readonly #options: WorkerOptions;
  readonly #child: ChildProcess;
  readonly #locks: LentLocks;
  /** What it printed: nothing, unless it is about to die. */
  readonly #printed = new BuildLog(4096);
  readonly #ended = Promise.withResolvers<void>();
  #attempt: Attempt | undefined;
  #isAlive = true;
  #isKnownAlive = false;
  #hasHung = false;
  #silentChecks = 0;

  constructor(mutexes: Mutexes, options: WorkerOptions) {
    this.#options = options;
    const child = fork(options.program, [], {
      execArgv: ['--disable-warning=ExperimentalWarning', `--max-old-space-size=${options.heapMb}`],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.#child = child;
    this.#locks = new LentLocks(mutexes, (id, isGranted) => this.#tell({ type: 'locked', id, isGranted }));
    child.stderr?.on('data', (chunk: Buffer) => this.#printed.write(chunk.toString('utf8')));
    child.on('message', (message: FromWorker) => this.#hear(message));
    child.on('error', (error) => this.#onEnd(`it could not be started: ${error.message}`, false));
    child.once('exit', (code, signal) => {
      const tell = () => {
        clearTimeout(timer);
        child.stderr?.destroy();
        const how = signal === null ? `exit code ${code}` : `signal ${signal}`;
        if (this.#hasHung) this.#onEnd('it did not answer', true);
        else this.#onEnd(`${how}${this.#lastWords()}`, !isKill(signal));
      };
      // What it printed last may come after its end; what it started may hold the pipe open.
      const timer = setTimeout(tell, lastWordsMs);
      if (child.stderr?.readableEnded === false) child.stderr.once('close', tell);
      else tell();
    });
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** As `Builder.build`. */
  async build(job: BuildJob, onProgress: Attempt['onProgress'], signal: AbortSignal): Promise<BuildOutcome> {
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<BuildOutcome>();
    this.#attempt = { onProgress, resolve, reject };
    this.#keepAwake(true);
    this.#silentChecks = 0;
    const check = setInterval(() => this.#lookAfter(), this.#options.checkMs);
    let force: NodeJS.Timeout | undefined;
    const cancel = () => {
      this.#tell({ type: 'cancel' });
      force = setTimeout(() => this.#child.kill('SIGKILL'), this.#options.cancelMs);
    };
    signal.addEventListener('abort', cancel, { once: true });
    if (this.#isAlive) this.#tell({ type: 'build', job });
    else reject(new BuilderDied('it could not be started', false));
    try {
      return await promise;
    } finally {
      clearInterval(check);
      clearTimeout(force);
      signal.removeEventListener('abort', cancel);
      this.#attempt = undefined;
      this.#locks.unlockAll();
      this.#keepAwake(false);
      signal.throwIfAborted();
    }
  }

  /** Resolves when the process is gone. */
  async end(): Promise<void> {
    if (this.#child.connected) this.#child.disconnect();
    const force = setTimeout(() => this.#child.kill('SIGKILL'), this.#options.cancelMs).unref();
    await this.#ended.promise;
    clearTimeout(force);
  }

  #hear(message: FromWorker): void {
    this.#silentChecks = 0;
    this.#isKnownAlive = true;
    if (message.type === 'progress') this.#attempt?.onProgress(message.message, message.log);
    else if (message.type === 'lock') this.#locks.lock(message.id, message.name, message.ifFree);
    else if (message.type === 'unlock') this.#locks.unlock(message.id);
    else if (message.type === 'ended') this.#attempt?.resolve(message.outcome);
  }

  #lookAfter(): void {
    const { silentChecksMax, silentChecksMaxAtStart } = this.#options;
    if (++this.#silentChecks <= (this.#isKnownAlive ? silentChecksMax : silentChecksMaxAtStart)) return;
    this.#hasHung = true;
    this.#child.kill('SIGKILL');
  }

  #onEnd(how: string, isOwnDoing: boolean): void {
    if (!this.#isAlive) return;
    if (this.#child.pid !== undefined && this.#child.exitCode === null && this.#child.signalCode === null) return;
    this.#isAlive = false;
    this.#attempt?.reject(new BuilderDied(how, isOwnDoing));
    this.#ended.resolve();
  }

  /** The line that says what ended it, when it could say so. */
  #lastWords(): string {
    const lines = this.#printed.text().split('\n');
    const line = lines.find((text) => /^(\w*Error\b|FATAL ERROR)/.test(text.trim()));
    return line === undefined ? '' : `: ${line.trim().slice(0, 500)}`;
  }

  #tell(message: ToWorker): void {
    // The callback takes the error of a channel that broke meanwhile: the process is ending, and `exit` tells.
    if (this.#child.connected) this.#child.send(message, () => {});
  }

  #keepAwake(isAtWork: boolean): void {
    const { channel, stderr } = this.#child;
    for (const handle of [this.#child, channel, stderr as Socket | null]) {
      if (isAtWork) handle?.ref?.();
      else handle?.unref?.();
    }
  }
}
