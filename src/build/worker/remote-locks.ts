import type { Locks } from '../locks.ts';
import type { FromWorker } from './protocol.ts';

/** Locks that the control process keeps for all workers: what a worker holds is free again when it has ended. */
export class RemoteLocks implements Locks {
  readonly #send: (message: FromWorker) => void;
  readonly #waiting = new Map<number, (isGranted: boolean) => void>();
  #lastId = 0;

  constructor(send: (message: FromWorker) => void) {
    this.#send = send;
  }

  /** The control process has answered. */
  answer(id: number, isGranted: boolean): void {
    this.#waiting.get(id)?.(isGranted);
  }

  async hold<T>(name: string, signal: AbortSignal, task: () => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    return this.#withLock(name, false, signal, () => task());
  }

  holdIfFree(name: string, task: () => Promise<void>): Promise<boolean> {
    return this.#withLock(name, true, undefined, async (isGranted) => {
      if (isGranted) await task();
      return isGranted;
    });
  }

  async #withLock<T>(
    name: string,
    ifFree: boolean,
    signal: AbortSignal | undefined,
    task: (isGranted: boolean) => Promise<T>,
  ): Promise<T> {
    const id = ++this.#lastId;
    const answered = Promise.withResolvers<boolean>();
    const onAbort = () => answered.reject(signal?.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#waiting.set(id, answered.resolve);
    this.#send({ type: 'lock', id, name, ifFree });
    try {
      return await task(await answered.promise);
    } finally {
      signal?.removeEventListener('abort', onAbort);
      this.#waiting.delete(id);
      this.#send({ type: 'unlock', id });
    }
  }
}
