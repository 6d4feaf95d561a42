import type { Clock } from '../../../lib/clock.ts';
import type { Subscription } from '../event-log.ts';
import type { LogCursor } from './log-cursor.ts';
import type { Offset, StoredEvent } from './stored-event.ts';

/** What a subscription needs of its log. */
export interface Source {
  /** The offset that the next event gets. */
  readonly end: Offset;
  read(from: Offset, limit: number): Promise<readonly StoredEvent[]>;
  /** Hears of each append; returns how to stop that. */
  onAppend(listener: () => void): () => void;
}

/**
 * One reader of a log, in the process that has the log: it cannot go away without the log, so nothing has a deadline.
 * What was taken lies between the cursor and `#next`; of what was given back, only the offsets are kept.
 *
 *     done done done | taken done taken taken | not taken yet
 *                    ^cursor                  ^#next
 */
export class SqliteSubscription implements Subscription {
  readonly deadlineMs = undefined;
  readonly #source: Source;
  readonly #cursor: LogCursor;
  readonly #clock: Clock;
  #next: Offset;
  #onReady = () => {};
  /** Given back, by when they are due, the earliest first. */
  readonly #delayed: { dueMs: number; offset: Offset }[] = [];
  #cancelTimer: (() => void) | undefined;
  readonly #stopListening: () => void;
  #isClosed = false;

  constructor(source: Source, cursor: LogCursor, clock: Clock) {
    this.#source = source;
    this.#cursor = cursor;
    this.#clock = clock;
    this.#next = cursor.position;
    this.#stopListening = source.onAppend(() => this.#onReady());
  }

  get consumer(): string {
    return this.#cursor.consumer;
  }

  get position(): Offset {
    return this.#cursor.position;
  }

  onReady(listener: () => void): void {
    this.#onReady = listener;
  }

  async take(limit: number): Promise<readonly StoredEvent[]> {
    if (this.#delayed.length > 0 && !this.#isClosed) {
      const again = await this.#takeDue(limit);
      if (again.length > 0) return again;
    }
    while (!this.#isClosed) {
      this.#next = Math.max(this.#next, this.#cursor.position);
      const events = await this.#source.read(this.#next, limit);
      const last = events.at(-1);
      if (!last) break;
      this.#next = last.offset + 1;
      const open = events.filter(({ offset }) => !this.#cursor.isDone(offset));
      if (open.length > 0) return open;
    }
    return [];
  }

  ack({ offset }: StoredEvent): void {
    this.#cursor.done(offset);
  }

  nack({ offset }: StoredEvent, delayMs: number): void {
    const dueMs = this.#clock.monotonic() + delayMs;
    const after = this.#delayed.findLastIndex((other) => other.dueMs <= dueMs);
    this.#delayed.splice(after + 1, 0, { dueMs, offset });
    this.#wait();
  }

  extend(): void {}

  retryNow(): void {
    const now = this.#clock.monotonic();
    for (const delayed of this.#delayed) delayed.dueMs = Math.min(delayed.dueMs, now);
    this.#onReady();
  }

  async backlog(): Promise<number> {
    return this.#source.end - this.#cursor.position;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelTimer?.();
    this.#stopListening();
  }

  async #takeDue(limit: number): Promise<StoredEvent[]> {
    const taken: StoredEvent[] = [];
    const now = this.#clock.monotonic();
    for (let first = this.#delayed[0]; first && first.dueMs <= now && taken.length < limit; first = this.#delayed[0]) {
      this.#delayed.shift();
      const [stored] = await this.#source.read(first.offset, 1);
      // It may have become too old meanwhile.
      if (stored?.offset === first.offset && !this.#cursor.isDone(first.offset)) taken.push(stored);
    }
    this.#wait();
    return taken;
  }

  /** Calls when the first of those that were given back is due. */
  #wait(): void {
    this.#cancelTimer?.();
    const [first] = this.#delayed;
    if (!first || this.#isClosed) return;
    this.#cancelTimer = this.#clock.after(first.dueMs - this.#clock.monotonic(), () => this.#onReady());
  }
}
