import type { Mutexes } from '../../lib/mutexes.ts';

/** The control process' side of RemoteLocks, for one worker. */
export class LentLocks {
  readonly #mutexes: Mutexes;
  readonly #answer: (id: number, isGranted: boolean) => void;
  /** How to give back what is held or waited for. */
  readonly #releases = new Map<number, () => void>();

  constructor(mutexes: Mutexes, answer: (id: number, isGranted: boolean) => void) {
    this.#mutexes = mutexes;
    this.#answer = answer;
  }

  lock(id: number, name: string, ifFree: boolean): void {
    if (ifFree && this.#mutexes.isHeld(name)) {
      this.#answer(id, false);
      return;
    }
    const released = Promise.withResolvers<void>();
    this.#releases.set(id, released.resolve);
    const held = this.#mutexes.hold(name, undefined, async () => {
      if (this.#releases.has(id)) this.#answer(id, true);
      await released.promise;
    });
    held.catch(() => {}); // Nothing in it can fail; a lock that did would be free.
  }

  unlock(id: number): void {
    this.#releases.get(id)?.();
    this.#releases.delete(id);
  }

  /** Its worker has ended, or the build. */
  unlockAll(): void {
    for (const id of [...this.#releases.keys()]) this.unlock(id);
  }
}
