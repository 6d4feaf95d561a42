import { type MessagePort, Worker } from 'node:worker_threads';
import type { Clock } from '../../../lib/clock.ts';
import type { StackedLayer } from './implicit-folders.ts';
import type { UnpackOptions } from './unpack.ts';
import type { CopyOptions } from './working-copy.ts';

export type FileJob =
  | { type: 'unpack'; options: UnpackOptions }
  | { type: 'copy'; options: CopyOptions }
  | { type: 'restore'; place: string; cache: string | undefined }
  | { type: 'folders'; layers: readonly StackedLayer[]; target: string }
  | { type: 'sync'; path: string }
  | { type: 'remove'; path: string };

/** The worker's memory is given back after this long without a job. */
const idleMs = 5_000;

/**
 * A thread for work that blocks on the disk; it is there while there is any, and a little longer. Jobs are done one
 * after the other: when none has ended for `patienceMs`, the one at work never will, and all are given up.
 */
export class FileThread {
  readonly #clock: Clock;
  readonly #patienceMs: number;
  #worker: Worker | undefined;
  #cancelIdle = () => {};
  #nextId = 0;
  #cancelPatience = () => {};
  readonly #waiting = new Map<number, { resolve(result: unknown): void; reject(error: Error): void }>();

  constructor(clock: Clock, patienceMs: number) {
    this.#clock = clock;
    this.#patienceMs = patienceMs;
  }

  /** How many jobs are there. */
  get jobs(): number {
    return this.#waiting.size;
  }

  /** Does the job; `port` is for what it works on. */
  run(job: FileJob, port?: MessagePort): Promise<unknown> {
    this.#cancelIdle();
    this.#worker ??= this.#start();
    const worker = this.#worker;
    const id = this.#nextId++;
    worker.ref(); // A job under way keeps the process alive, an idle thread does not.
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      worker.postMessage({ id, job, port }, port ? [port] : []);
      if (this.#waiting.size === 1) this.#bePatient(worker);
    });
  }

  /** Waits for what is under way, then ends the thread. */
  async close(): Promise<void> {
    this.#cancelIdle();
    while (this.#waiting.size > 0) {
      await new Promise<void>((resolve) => {
        const last = [...this.#waiting.values()].at(-1);
        if (!last) return resolve();
        const { resolve: done, reject: failed } = last;
        last.resolve = (result) => {
          done(result);
          resolve();
        };
        last.reject = (error) => {
          failed(error);
          resolve();
        };
      });
    }
    this.#cancelIdle();
    await this.#worker?.terminate();
    this.#worker = undefined;
  }

  #bePatient(worker: Worker): void {
    this.#cancelPatience();
    if (this.#waiting.size === 0) return;
    this.#cancelPatience = this.#clock.after(this.#patienceMs, () => {
      this.#failAll(
        worker,
        new Error(`work on files did not end within ${this.#patienceMs / 60_000} minutes: it is given up`),
      );
      void worker.terminate(); // Never rejects.
    });
  }

  /** The thread is lost: what waits has failed, the next job gets a new one. */
  #failAll(worker: Worker, error: Error): void {
    if (this.#worker === worker) this.#worker = undefined;
    this.#cancelPatience();
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }

  #start(): Worker {
    const worker = new Worker(new URL('./file-worker.ts', import.meta.url));
    worker.unref();
    worker.on('message', ({ id, result, error }: { id: number; result?: unknown; error?: Error }) => {
      if (this.#worker !== worker) return; // Given up.
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      this.#bePatient(worker);
      if (error === undefined) waiting?.resolve(result);
      else waiting?.reject(error);
      if (this.#waiting.size > 0) return;
      worker.unref();
      this.#cancelIdle();
      this.#cancelIdle = this.#clock.after(idleMs, () => {
        void this.#worker?.terminate(); // Never rejects.
        this.#worker = undefined;
      });
    });
    // The thread itself broke: out of memory, say.
    worker.on('error', (error) => this.#failAll(worker, error as Error));
    return worker;
  }
}
