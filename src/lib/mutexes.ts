/** Named locks within this process; those who wait are served in order. */
export class Mutexes {
  readonly #tails = new Map<string, Promise<void>>();

  isHeld(name: string): boolean {
    return this.#tails.has(name);
  }

  /** Runs `task` if nobody holds the name, and says whether it did. */
  async holdIfFree(name: string, task: () => Promise<void>): Promise<boolean> {
    if (this.isHeld(name)) return false;
    await this.hold(name, undefined, task);
    return true;
  }

  /**
   * Runs `task` alone among those with the same name. Rejects at once, without running it, when `signal` is given and
   * aborts first.
   */
  async hold<T>(name: string, signal: AbortSignal | undefined, task: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(name);
    let leave = () => {};
    const own = new Promise<void>((resolve) => {
      leave = resolve;
    });
    const tail = (before ?? Promise.resolve()).then(() => own);
    this.#tails.set(name, tail);
    try {
      if (before) await orAborted(before, signal);
      return await task();
    } finally {
      leave();
      if (this.#tails.get(name) === tail) this.#tails.delete(name);
    }
  }
}

function orAborted(promise: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(() => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    }, reject);
  });
}
