import { Worker } from 'node:worker_threads';
import type { Clock } from '../../../lib/clock.ts';
import type { Unpacked } from './layer-writer.ts';
import type { UnpackOptions } from './unpack.ts';
import type { CopyOptions } from './working-copy.ts';

export type FileJob =
  | { type: 'unpack'; options: UnpackOptions }
  | { type: 'copy'; options: CopyOptions }
  | { type: 'restore'; place: string; cache: string | undefined }
  | { type: 'sync'; path: string }
  | { type: 'remove'; path: string };

/** The worker's memory is given back after this long without a job. */
const idleMs = 5_000;
/** No single job takes longer: a layer is at most a few GiB. */
const patienceMs = 600_000;

/**
 * Trees of files, made and removed in one thread of their own: with blocking calls, which are several times faster than
 * the event loop's for many small files, and without delaying the control plane that shares this process.
 */
export class Files {
  readonly #clock: Clock;
  #worker: Worker | undefined;
  #cancelIdle = () => {};
  #nextId = 0;
  #cancelPatience = () => {};
  readonly #waiting = new Map<number, { resolve(result: unknown): void; reject(error: Error): void }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async unpack(options: UnpackOptions): Promise<Unpacked> {
    return (await this.#run({ type: 'unpack', options })) as Unpacked;
  }

  /** Makes a working copy of an image. */
  async copy(options: CopyOptions): Promise<void> {
    await this.#run({ type: 'copy', options });
  }

  /** Makes a used working copy as good as new; false when that cannot be. */
  async restore(place: string, cache: string | undefined): Promise<boolean> {
    return (await this.#run({ type: 'restore', place, cache })) as boolean;
  }

  /** Puts a tree on the disk for good; false when it is gone. */
  async sync(path: string): Promise<boolean> {
    return (await this.#run({ type: 'sync', path })) as boolean;
  }

  async remove(path: string): Promise<void> {
    await this.#run({ type: 'remove', path });
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
    await this.#worker?.terminate();
    this.#worker = undefined;
  }

  #run(job: FileJob): Promise<unknown> {
    this.#cancelIdle();
    this.#worker ??= this.#start();
    const worker = this.#worker;
    const id = this.#nextId++;
    worker.ref(); // A job under way keeps the process alive, an idle thread does not.
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      worker.postMessage({ id, job });
      if (this.#waiting.size === 1) this.#bePatient(worker);
    });
  }

  /** Jobs are done one after the other: when none has ended for so long, the one at work never will. */
  #bePatient(worker: Worker): void {
    this.#cancelPatience();
    if (this.#waiting.size === 0) return;
    this.#cancelPatience = this.#clock.after(patienceMs, () => {
      this.#failAll(
        worker,
        new Error(`work on files did not end within ${patienceMs / 60_000} minutes: it is given up`),
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
