import { type BackoffPolicy, jitteredBackoffDelayMs } from '../lib/backoff.ts';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../observe/log.ts';

/** Between retries of one key: 5 ms, 10 ms, 20 ms … 30 s. */
const retryBackoff: BackoffPolicy = { firstMs: 5, maxMs: 30_000, factor: 2 };
/** This many keys start before timers and I/O have a turn: keys that end at once would otherwise follow for ever. */
const startsPerTurnMax = 32;
/** No further key starts once those before it have kept the event loop this long. */
const turnMsMax = 10;

/**
 * Keys to be worked on. A key is never worked on twice at once; one that is added while it is being worked on is worked
 * on again afterwards; one that is added ten times before its turn is worked on once.
 *
 *            add              start                 end
 *   (absent) ───▶ waiting ───────▶ running ─────────────▶ (absent)
 *                    ▲                │ add ▼                ▲
 *                    └── end ── running, dirty               │
 *   addAfter / retry: a timer, then add ─────────────────────┘
 *
 * The first keys run within the tick in which they are added; whatever keys do, the event loop gets its turns.
 */
export class WorkQueue {
  readonly #process: (key: string) => Promise<void>;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #concurrency: number;
  readonly #waiting = new Set<string>();
  readonly #running = new Set<string>();
  readonly #dirty = new Set<string>();
  readonly #timers = new Map<string, () => void>();
  readonly #attempts = new Map<string, number>();
  #isPaused = true;
  #isStopped = false;
  #startsThisTurn = 0;
  #turnBeganMs = 0;
  #onIdle: (() => void) | undefined;

  /**
   * `process` decides itself whether to call `retry`; when it throws, that is logged as an error and the key retried.
   * Nothing runs before `start`.
   */
  constructor(options: {
    process: (key: string) => Promise<void>;
    clock: Clock;
    log: Logger;
    concurrency: number;
  }) {
    this.#process = options.process;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#concurrency = options.concurrency;
  }

  start(): void {
    this.#isPaused = false;
    queueMicrotask(this.#pump);
  }

  /** Starts nothing more; resolves when what runs has ended. */
  async stop(): Promise<void> {
    this.#isPaused = true;
    this.#isStopped = true;
    for (const cancel of this.#timers.values()) cancel();
    if (this.#running.size > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve));
  }

  add(key: string): void {
    if (this.#running.has(key)) this.#dirty.add(key);
    else this.#waiting.add(key);
    // So that all that one event adds is seen at once, and an adder is not re-entered.
    queueMicrotask(this.#pump);
  }

  /** Adds the key after `delayMs`; replaces an earlier timer of the same key. */
  addAfter(key: string, delayMs: number): void {
    this.cancelTimer(key);
    if (this.#isStopped) return;
    const cancel = this.#clock.after(delayMs, () => {
      this.#timers.delete(key);
      this.add(key);
    });
    this.#timers.set(key, cancel);
  }

  cancelTimer(key: string): void {
    this.#timers.get(key)?.();
    this.#timers.delete(key);
  }

  /** Adds the key after a delay that grows with each retry until `forget`. Returns the delay in milliseconds. */
  retry(key: string): number {
    const attempt = this.#attempts.get(key) ?? 0;
    this.#attempts.set(key, attempt + 1);
    const delayMs = jitteredBackoffDelayMs(retryBackoff, attempt, Math.random());
    this.addAfter(key, delayMs);
    return delayMs;
  }

  /** The key went well: its next retry starts from the shortest delay. */
  forget(key: string): void {
    this.#attempts.delete(key);
  }

  /** How many keys wait for their turn. */
  get depth(): number {
    return this.#waiting.size;
  }

  readonly #pump = () => {
    for (const key of this.#waiting) {
      if (this.#isPaused || this.#running.size >= this.#concurrency) return;
      if (this.#startsThisTurn === 0) {
        this.#turnBeganMs = this.#clock.monotonic();
        setImmediate(this.#beginTurn);
      } else if (this.#isTurnOver()) return;
      this.#startsThisTurn++;
      this.#waiting.delete(key);
      this.#running.add(key);
      void this.#run(key); // Catches whatever `process` throws.
    }
  };

  #isTurnOver(): boolean {
    return this.#startsThisTurn >= startsPerTurnMax || this.#clock.monotonic() - this.#turnBeganMs >= turnMsMax;
  }

  readonly #beginTurn = () => {
    this.#startsThisTurn = 0;
    this.#pump();
  };

  async #run(key: string): Promise<void> {
    try {
      await this.#process(key);
    } catch (error) {
      const retryInMs = Math.round(this.retry(key));
      this.#log.error({ key, err: error, retryInMs }, 'work on a key failed: trying again');
    }
    this.#end(key);
  }

  #end(key: string): void {
    this.#running.delete(key);
    if (this.#dirty.delete(key)) this.#waiting.add(key);
    if (this.#isPaused) {
      if (this.#running.size === 0) this.#onIdle?.();
      return;
    }
    this.#pump();
  }
}
