import { Mutexes } from '../lib/mutexes.ts';

/** Named locks among all builds of one platform, whichever process they run in. */
export interface Locks {
  /** Runs `task` alone among those with the same name; rejects when `signal` aborts before it is its turn. */
  hold<T>(name: string, signal: AbortSignal, task: () => Promise<T>): Promise<T>;
  /** Runs `task` if nobody holds the name, and says whether it did. */
  holdIfFree(name: string, task: () => Promise<void>): Promise<boolean>;
}

/** Locks of this process. */
export function processLocks(mutexes = new Mutexes()): Locks {
  return {
    hold: (name, signal, task) => mutexes.hold(name, signal, task),
    async holdIfFree(name, task) {
      if (mutexes.isHeld(name)) return false;
      await mutexes.hold(name, undefined, task);
      return true;
    },
  };
}
