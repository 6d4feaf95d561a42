import { Worker } from 'node:worker_threads';
import { messageOf } from '../../../lib/errors.ts';

/** What was found: nothing wrong, or an error in words, with the place when the parser told it. */
export type Stripped = { error?: string };

/**
 * Takes types away in a thread of its own. The parser is compiled code with a small stack of its own: a file that nests
 * deeply breaks it for good, for every file after it, and some files keep it busy for ever. A thread can be ended.
 */
export class TypeStripper {
  readonly #fileMs: number;
  #worker: Worker | undefined;
  #cancelIdle: NodeJS.Timeout | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(fileMs = 20_000) {
    this.#fileMs = fileMs;
  }

  /** One file at a time, in the order of the calls. Never rejects for what the file holds. */
  check(path: string, code: string): Promise<Stripped> {
    const result = this.#turn.then(() => this.#check(path, code));
    this.#turn = result.catch(() => undefined /* the caller is told */);
    return result;
  }

  async #check(path: string, code: string): Promise<Stripped> {
    clearTimeout(this.#cancelIdle);
    const worker = this.#worker ?? this.#start();
    worker.ref();
    let cancel: NodeJS.Timeout | undefined;
    const listening = new AbortController();
    try {
      const answer = await new Promise<Stripped & { isBroken?: boolean }>((resolve) => {
        const broken = (error: string) => resolve({ error: `${path}: ${error}`, isBroken: true });
        const on = (event: string, listener: (value: unknown) => void) => {
          worker.on(event, listener);
          listening.signal.addEventListener('abort', () => worker.off(event, listener));
        };
        on('message', (found) => resolve(found as Stripped));
        on('error', (error) => broken(messageOf(error)));
        on('exit', () => broken('the TypeScript parser ended'));
        cancel = setTimeout(() => broken(`the TypeScript parser took longer than ${this.#fileMs} ms`), this.#fileMs);
        worker.postMessage({ path, code });
      });
      if (answer.isBroken) await this.#end(worker);
      return answer.error === undefined ? {} : { error: answer.error };
    } finally {
      clearTimeout(cancel);
      listening.abort();
      this.#idle(worker);
    }
  }

  /** A thread costs memory: it goes when nothing was built for a while, and never keeps the process alive. */
  #idle(worker: Worker): void {
    if (this.#worker !== worker) return;
    worker.unref();
    this.#cancelIdle = setTimeout(() => {
      this.#worker = undefined;
      void worker.terminate().catch(() => {}); // It has ended, then.
    }, idleMs).unref();
  }

  #start(): Worker {
    const worker = new Worker(new URL('./strip-worker.ts', import.meta.url));
    worker.on('error', () => {}); // Whoever asked is told; of a thread that nobody asks, 'exit' says enough.
    worker.on('exit', () => {
      if (this.#worker === worker) this.#worker = undefined;
    });
    this.#worker = worker;
    return worker;
  }

  async #end(worker: Worker): Promise<void> {
    this.#worker = undefined;
    await worker.terminate();
  }
}

const idleMs = 30_000;
