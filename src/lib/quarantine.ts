import { AsyncLocalStorage } from 'node:async_hooks';

import { shellWord } from './shell-word.ts';

/**
 * What this process is at, one piece of work at a time, so that the one that ends the process is found and set aside.
 *
 *     run ──▶ under way ──ends──▶ done
 *                │ the process dies or hangs: whatever was under way is suspect
 *                ▼
 *     next start: each suspect runs alone ──ends──▶ cleared
 *                │ the process dies again
 *                ▼
 *             set aside: `run` throws SetAsideError, until somebody releases it
 *
 * The supervisor keeps the books (src/server/quarantine-files.ts); a Quarantine made without options knows of nothing
 * and costs a set's look-up.
 */
export class Quarantine {
  readonly #board: WorkBoard;
  readonly #keepBooks: (name: string, reason: string) => void;
  readonly #aloneMsMax: number;
  readonly #listeners = new Set<(released: string) => void>();
  #setAside: Set<string>;
  readonly #suspects: Set<string>;
  #runningCount = 0;
  #onIdle: (() => void) | undefined;
  readonly #isCareful: boolean;
  #entered: number | undefined;
  #leaving: NodeJS.Immediate | undefined;
  /** What runs alone, for `runWithin`; looked at only meanwhile. */
  readonly #within = new AsyncLocalStorage<Outer>();
  /** While a suspect runs alone; resolves when others may run again. */
  #alone: Promise<void> | undefined;

  constructor(options: QuarantineOptions = {}) {
    this.#board = options.board ?? noBoard;
    this.#keepBooks = options.keepBooks ?? (() => {});
    this.#aloneMsMax = options.aloneMsMax ?? 2_000;
    this.#setAside = new Set(options.setAside);
    this.#suspects = new Set(options.suspects);
    this.#isCareful = options.isCareful === true;
  }

  /**
   * Runs `work` and gives what it gives. `name` says what it is about in words that a user can paste, and is the same
   * each time: `revision default/a`. Throws SetAsideError, without running it, when it is set aside.
   */
  async run<T>(name: string, work: () => Promise<T>): Promise<T> {
    const bounded = workName(name);
    if (this.#setAside.has(bounded)) throw new SetAsideError(bounded);
    while (this.#alone) await this.#alone;
    return this.#suspects.delete(bounded) ? this.#runAlone(bounded, work) : this.#runAmongOthers(bounded, work);
  }

  /**
   * `run`, for work that other work waits for: when that one runs alone, this cannot wait for its end. When it is
   * suspect itself it is the one to blame: as long as it runs, the one around it is only among what is under way.
   */
  runWithin<T>(name: string, work: () => Promise<T>): Promise<T> {
    const bounded = workName(name);
    const outer = this.#alone && this.#within.getStore();
    if (outer === undefined || outer.isOver || this.#setAside.has(bounded)) return this.run(bounded, work);
    return this.#runInside(outer, bounded, work);
  }

  /**
   * For work that cannot be run again and does its dangerous part in one turn of the event loop, such as parsing a
   * request: `enter` before it, `leave` after it. Does nothing unless the process before this one died, so it costs
   * nothing. `name` is asked for only then.
   */
  enter(name: () => string): void {
    if (!this.#isCareful) return;
    this.#leaveNow();
    this.#entered = this.#board.begin(workName(name()), true);
  }

  /** What the work has left behind for the end of this turn, such as a promise that rejects, is still its own doing. */
  leave(): void {
    if (this.#entered !== undefined) this.#leaving ??= setImmediate(() => this.#leaveNow());
  }

  #leaveNow(): void {
    clearImmediate(this.#leaving);
    this.#leaving = undefined;
    if (this.#entered === undefined) return;
    this.#board.end(this.#entered);
    this.#entered = undefined;
  }

  /** For work that ended a process of its own, and not this one, as often as it may. */
  setAside(name: string, reason: string): void {
    const bounded = workName(name);
    this.#setAside.add(bounded);
    this.#keepBooks(bounded, reason);
  }

  isSetAside(name: string): boolean {
    return this.#setAside.has(workName(name));
  }

  /** How many pieces of work are set aside. */
  get size(): number {
    return this.#setAside.size;
  }

  get names(): readonly string[] {
    return [...this.#setAside];
  }

  /** Calls `listener` with the name of each piece of work that is given back. Returns how to stop that. */
  onRelease(listener: (released: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** What is set aside from now on; what is no longer among it is released. */
  update(setAside: Iterable<string>): void {
    const before = this.#setAside;
    this.#setAside = new Set(setAside);
    for (const name of before) {
      if (!this.#setAside.has(name)) for (const listener of this.#listeners) listener(name);
    }
  }

  async #runAmongOthers<T>(name: string, work: () => Promise<T>): Promise<T> {
    const slot = this.#board.begin(name, false);
    this.#runningCount++;
    try {
      return await work();
    } finally {
      this.#board.end(slot);
      this.#runningCount--;
      if (this.#runningCount === 0) this.#onIdle?.();
    }
  }

  async #runAlone<T>(name: string, work: () => Promise<T>): Promise<T> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const letOthersRun = () => {
      if (this.#alone === promise) this.#alone = undefined;
      resolve();
    };
    this.#alone = promise;
    // A suspect that takes its time does not hold up the others for ever; it stays marked until it ends.
    const timer = setTimeout(letOthersRun, 2 * this.#aloneMsMax);
    try {
      await this.#untilIdle();
      const outer: Outer = { name, slot: this.#board.begin(name, true), isOver: false, inner: undefined };
      try {
        return await this.#within.run(outer, work);
      } finally {
        // What it has left behind, for the end of this turn, such as a promise that rejects, is still its own doing.
        await new Promise((resolve) => setImmediate(resolve));
        outer.isOver = true;
        this.#board.end(outer.slot);
      }
    } finally {
      clearTimeout(timer);
      letOthersRun();
    }
  }

  async #runInside<T>(outer: Outer, name: string, work: () => Promise<T>): Promise<T> {
    while (outer.inner) await outer.inner;
    if (!this.#suspects.delete(name)) return this.#runAmongOthers(name, work);
    const { promise, resolve } = Promise.withResolvers<void>();
    outer.inner = promise;
    this.#mark(outer, false);
    const slot = this.#board.begin(name, true);
    try {
      return await work();
    } finally {
      await new Promise((turn) => setImmediate(turn));
      this.#board.end(slot);
      if (!outer.isOver) this.#mark(outer, true);
      outer.inner = undefined;
      resolve();
    }
  }

  #mark(outer: Outer, isSuspect: boolean): void {
    this.#board.end(outer.slot);
    outer.slot = this.#board.begin(outer.name, isSuspect);
  }

  /** Waits for what runs already, for a bounded time. */
  async #untilIdle(): Promise<void> {
    if (this.#runningCount === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, this.#aloneMsMax);
      this.#onIdle = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** A suspect that runs alone, and its place on the board. */
interface Outer {
  readonly name: string;
  slot: number;
  isOver: boolean;
  /** While another suspect runs within it. */
  inner: Promise<void> | undefined;
}

export interface QuarantineOptions {
  setAside?: Iterable<string>;
  /** What was under way when the process before this one died. */
  suspects?: Iterable<string>;
  board?: WorkBoard;
  /** Writes down what is set aside here, for the next start. */
  keepBooks?: (name: string, reason: string) => void;
  /** The process before this one died of its own doing: `enter` writes down what is entered. */
  isCareful?: boolean;
  /** How long a suspect waits for the others to end, and then has the process for itself; 2 s unless given. */
  aloneMsMax?: number;
}

/** Where it is written down what is under way, so that it can be read after the process has died. */
export interface WorkBoard {
  /** Returns the place to give back, or -1 when the board is full. */
  begin(name: string, isSuspect: boolean): number;
  end(slot: number): void;
}

const noBoard: WorkBoard = { begin: () => -1, end() {} };

/** The work has ended the process twice; it is left alone until it is released. */
export class SetAsideError extends Error {
  override readonly name = 'SetAsideError';
  readonly work: string;

  constructor(work: string) {
    super(`"${work}" is set aside: it ended the process twice; give it back with 'kittiwake release'`);
    this.work = work;
  }
}

/** The command line that gives `work` of a role back. Names are anybody's: none says more to a shell than itself. */
export const releaseCommand = (role: string, work: string) => `kittiwake release ${role} ${shellWord(work)}`;

/** In UTF-16 units; longer names keep both ends. */
export const workNameLengthMax = 160;

/**
 * The name as it is kept: bounded, of one line, and such that it is the same when it was written and read again: no
 * half characters, and no space at its end.
 */
export function workName(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not get into a list of names.
  const line = /[\u0000-\u001f]/.test(text) ? text.replaceAll(/[\u0000-\u001f]/g, ' ') : text;
  if (line.length <= workNameLengthMax) return line.toWellFormed().trimEnd();
  const half = workNameLengthMax / 2 - 1;
  return `${line.slice(0, half)}…${line.slice(-half)}`.toWellFormed().trimEnd();
}
