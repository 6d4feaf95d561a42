/** Named locks among all builds of one platform, whichever process they run in; `Mutexes` are those of one process. */
export interface Locks {
  /** Runs `task` alone among those with the same name; rejects when `signal` aborts before it is its turn. */
  hold<T>(name: string, signal: AbortSignal, task: () => Promise<T>): Promise<T>;
  /** Runs `task` if nobody holds the name, and says whether it did. */
  holdIfFree(name: string, task: () => Promise<void>): Promise<boolean>;
}
