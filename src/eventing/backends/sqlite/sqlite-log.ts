import type { Clock } from '../../../lib/clock.ts';
import { KittiwakeError } from '../../../lib/errors.ts';
import type { Logger } from '../../../observe/log.ts';
import { eventErrors } from '../../errors.ts';
import type { Consumer, EventLog, NewEvent, Subscription } from '../event-log.ts';
import { type CursorRow, LogCursor } from './log-cursor.ts';
import { Progress } from './progress.ts';
import { type Flush, type NewRow, rowOf, SqliteFile } from './sqlite-file.ts';
import { SqliteSubscription } from './sqlite-subscription.ts';
import type { Offset, StoredEvent } from './stored-event.ts';
import { Tail } from './tail.ts';

export interface SqliteLogOptions {
  path: string;
  /** `namespace/name`, for messages. */
  broker: string;
  limits?: LogLimits;
  clock: Clock;
  log: Logger;
  /** The disk failed, and what it holds is not known: nothing is acknowledged until the log is opened anew. */
  onFailure(error: unknown): void;
  /** For tests of a full disk. */
  pageCountMax?: number;
  /** For tests of a disk that is slow, or fails. */
  fdatasync?: Flush | undefined;
}

export interface LogLimits {
  /** More than this is refused with EVENT_LOG_FULL; 1 GiB unless given. */
  bytesMax?: number;
  /** Events older than this are removed, even when a consumer is not done with them; kept for ever unless given. */
  ageMaxMs?: number;
}

const batchCountMax = 1024;
const batchBytesMax = 8 * 1024 * 1024;
const readBytesMax = 4 * 1024 * 1024;
const queueBytesMax = 32 * 1024 * 1024;
const tidyDelayMs = 50;
const tidyRetryMs = 1000;
const trimCountMax = 2000;

interface Append {
  row: NewRow;
  resolve(offset: Offset): void;
  reject(error: unknown): void;
}

/**
 * A log in one SQLite file. Appends that come while the disk is busy wait and share the next commit and flush (group
 * commit). Cursors are written at most every 50 ms, together with removing what every consumer is done with.
 */
export class SqliteLog implements EventLog {
  readonly #options: SqliteLogOptions;
  readonly #file: SqliteFile;
  readonly #tail = new Tail();
  readonly #cursors = new Map<string, LogCursor>();
  readonly #dirty = new Set<LogCursor>();
  /** Consumers that are new, until their places are on disk. */
  readonly #opening = new Map<string, Promise<LogCursor>>();
  readonly #gone = new Set<string>();
  readonly #subscriptions = new Map<string, Subscription>();
  readonly #listeners = new Set<() => void>();
  #queue: Append[] = [];
  #queuedBytes = 0;
  /** The one writer, while there is something to write; it never rejects. */
  #writing: Promise<void> | undefined;
  /** Set while somebody asks for a tidying that has not begun. */
  #asked: PromiseWithResolvers<void> | undefined;
  #closing: Promise<void> | undefined;
  #cancelTidy: (() => void) | undefined;
  #cancelExpiry: (() => void) | undefined;
  #state: 'open' | 'closing' | 'failed' = 'open';
  #first: Offset;
  #end: Offset;
  #heldBytes: number;
  #owner: string | undefined;

  constructor(options: SqliteLogOptions) {
    this.#options = options;
    this.#file = new SqliteFile(options.path, options);
    const { extent, cursors, owner } = this.#file.contents();
    this.#owner = owner;
    this.#first = extent.first;
    this.#end = extent.end;
    this.#heldBytes = extent.bytes;
    for (const row of cursors) this.#addCursor(row);
    this.#scheduleExpiry();
  }

  get owner(): string | undefined {
    return this.#owner;
  }

  async adopt(owner: string): Promise<void> {
    try {
      this.#file.setOwner(owner);
      await this.#file.sync();
      this.#owner = owner;
    } catch (error) {
      if (!isHarmless(error)) this.#fail(error);
      throw error;
    }
  }

  /** The offset that the next event gets; all before it are durable. */
  get end(): Offset {
    return this.#end;
  }

  /** What the log holds for its consumers. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Resolves with the offset of the event. */
  async append(event: NewEvent, options = { isReply: false }): Promise<Offset> {
    const row = rowOf(event);
    const refusal = this.#refusal(row.sizeBytes, options.isReply);
    if (refusal) throw refusal;
    return new Promise((resolve, reject) => {
      this.#queue.push({ row, resolve, reject });
      this.#queuedBytes += row.sizeBytes;
      this.#wake();
    });
  }

  /** Up to `limit` durable events from `from` on, in order; fewer when they are large. Empty at the end. */
  async read(from: Offset, limit: number): Promise<readonly StoredEvent[]> {
    if (from >= this.#end || this.#state === 'failed') return [];
    try {
      return this.#tail.read(from, limit) ?? this.#file.read(from, this.#end, limit, readBytesMax);
    } catch (error) {
      this.#fail(error);
      throw error;
    }
  }

  async subscribe(consumer: string, owner: string): Promise<Subscription> {
    const subscription = new SqliteSubscription(this, await this.cursor(consumer, owner), this.#options.clock);
    await this.#subscriptions.get(consumer)?.close();
    this.#subscriptions.set(consumer, subscription);
    return subscription;
  }

  async consumers(): Promise<readonly Consumer[]> {
    return [...this.#cursors.values()].map(({ consumer, owner }) => ({ name: consumer, owner }));
  }

  /** The consumer's place, on disk; a consumer that has none starts at the end. */
  async cursor(consumer: string, owner = ''): Promise<LogCursor> {
    const opening = this.#opening.get(consumer);
    if (opening) return opening;
    const known = this.#cursors.get(consumer);
    if (known?.owner === owner) return known;
    const opened = (known ? this.#handOver(known, owner) : this.#openCursor(consumer, owner)).finally(() =>
      this.#opening.delete(consumer),
    );
    this.#opening.set(consumer, opened);
    return opened;
  }

  async forget(consumer: string): Promise<void> {
    if (!this.#cursors.delete(consumer)) return;
    this.#gone.add(consumer);
    this.#subscriptions.delete(consumer);
    this.#scheduleTidy();
  }

  /** Calls `listener` after each append, when the events are durable. Returns how to stop that. */
  onAppend(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (this.#state === 'open') this.#state = 'closing';
    this.#cancelTidy?.();
    this.#cancelExpiry?.();
    for (const subscription of this.#subscriptions.values()) await subscription.close();
    await this.#writing;
    if (this.#state === 'closing') {
      try {
        await this.#tidy();
      } catch (error) {
        this.#options.log.warn({ err: error }, 'cursors not written: some events will come a second time');
      }
    }
    this.#file.close();
  }

  #refusal(bytes: number, isReply: boolean): Error | undefined {
    const { broker, limits } = this.#options;
    if (this.#state !== 'open') return this.#closedError();
    if (this.#queuedBytes + bytes > queueBytesMax) {
      return eventErrors.BROKER_BUSY({ heldBytes: this.#queuedBytes });
    }
    const limitBytes = (limits?.bytesMax ?? 2 ** 30) * (isReply ? 1 : 0.9);
    const heldBytes = this.#heldBytes + this.#queuedBytes;
    if (heldBytes + bytes <= limitBytes) return undefined;
    return eventErrors.EVENT_LOG_FULL({ broker, heldBytes, limitBytes, slowest: this.#slowest() });
  }

  #slowest(): string {
    const cursors = [...this.#cursors.values()].toSorted((a, b) => a.position - b.position);
    const slowest = cursors[0];
    return slowest ? `${slowest.consumer} by ${this.#end - slowest.position} events` : 'there are none';
  }

  #closedError(): KittiwakeError {
    return eventErrors.BROKER_NOT_READY({ broker: this.#options.broker, why: 'its event log is closed' });
  }

  #wake(): void {
    this.#writing ??= this.#write();
  }

  /** Commits and tidyings, one at a time and in turn: however many come of the one, the other is not kept waiting. */
  async #write(): Promise<void> {
    while (this.#state !== 'failed' && (this.#asked || this.#queue.length > 0)) {
      // The appends of this turn of the event loop share a commit.
      await new Promise<void>((resolve) => setImmediate(resolve));
      const asked = this.#asked;
      this.#asked = undefined;
      if (asked) await this.#tidy().then(asked.resolve, asked.reject);
      try {
        await this.#commit();
      } catch (error) {
        this.#fail(error);
      }
    }
    this.#writing = undefined;
  }

  /** Resolves after a tidying that begins from now on; rejects with why it failed. */
  #tidied(): Promise<void> {
    if (this.#state !== 'open') return Promise.reject(this.#closedError());
    this.#asked ??= Promise.withResolvers();
    this.#wake();
    return this.#asked.promise;
  }

  async #commit(): Promise<void> {
    const batch = this.#takeBatch();
    if (batch.length === 0) return;
    const rows = batch.map(({ row }) => row);
    try {
      const stored = this.#file.append(this.#end, this.#options.clock.now(), rows);
      await this.#file.sync();
      this.#accept(batch, stored);
    } catch (error) {
      for (const append of batch) append.reject(error);
      if (!isHarmless(error)) throw error;
    }
  }

  #accept(batch: readonly Append[], stored: readonly StoredEvent[]): void {
    for (const event of stored) this.#heldBytes += event.sizeBytes;
    const first = this.#end;
    this.#end += stored.length;
    if (this.#cursors.size > 0) {
      this.#tail.push(stored);
    } else {
      // The tail has no gaps: what nobody reads now, a consumer that comes back finds on disk.
      this.#tail.dropBefore(this.#end);
      this.#scheduleTidy();
    }
    for (const [i, append] of batch.entries()) append.resolve(first + i);
    for (const listener of this.#listeners) listener();
  }

  #takeBatch(): Append[] {
    let bytes = 0;
    let count = 0;
    for (const { row } of this.#queue) {
      if (count > 0 && (count === batchCountMax || bytes + row.sizeBytes > batchBytesMax)) break;
      bytes += row.sizeBytes;
      count++;
    }
    this.#queuedBytes -= bytes;
    return this.#queue.splice(0, count);
  }

  #addCursor(row: CursorRow): LogCursor {
    const { consumer } = row;
    const cursor = new LogCursor(row, () => {
      if (this.#cursors.get(consumer) !== cursor) return;
      this.#dirty.add(cursor);
      this.#scheduleTidy();
    });
    this.#cursors.set(consumer, cursor);
    return cursor;
  }

  async #openCursor(consumer: string, owner: string): Promise<LogCursor> {
    const cursor = this.#addCursor({ consumer, owner, progress: new Progress(this.#end) });
    this.#gone.delete(consumer);
    this.#dirty.add(cursor);
    try {
      await this.#tidied();
      return cursor;
    } catch (error) {
      // Nobody may believe that it has a place: who asks again starts anew.
      this.#cursors.delete(consumer);
      this.#dirty.delete(cursor);
      throw error;
    }
  }

  async #handOver(cursor: LogCursor, owner: string): Promise<LogCursor> {
    const before = cursor.owner;
    cursor.owner = owner;
    this.#dirty.add(cursor);
    try {
      await this.#tidied();
      return cursor;
    } catch (error) {
      cursor.owner = before;
      throw error;
    }
  }

  #scheduleTidy(delayMs = tidyDelayMs): void {
    if (this.#cancelTidy || this.#state !== 'open') return;
    this.#cancelTidy = this.#options.clock.after(delayMs, () => {
      this.#cancelTidy = undefined;
      this.#tidied().catch((error) => {
        this.#options.log.warn({ err: error }, 'cursors not written, trying again');
        this.#scheduleTidy(tidyRetryMs);
      });
    });
  }

  /** Writes what changed of the cursors, and removes a slice of what nobody needs. */
  async #tidy(): Promise<void> {
    const cursors = [...this.#dirty];
    const gone = [...this.#gone];
    this.#dirty.clear();
    this.#gone.clear();
    const needed = Math.min(this.#end, ...[...this.#cursors.values()].map((cursor) => cursor.position));
    const keepFrom = Math.min(needed, this.#first + trimCountMax);
    if (cursors.length === 0 && gone.length === 0 && keepFrom <= this.#first) return;
    try {
      this.#heldBytes -= this.#file.tidy(cursors, gone, keepFrom);
      this.#first = Math.max(this.#first, keepFrom);
      this.#tail.dropBefore(this.#first);
      this.#file.shrink();
      await this.#file.sync();
    } catch (error) {
      // The same turn in which they were taken out, unless the log has failed.
      for (const cursor of cursors) this.#dirty.add(cursor);
      for (const consumer of gone) this.#gone.add(consumer);
      if (!isHarmless(error)) this.#fail(error);
      throw error;
    }
    if (needed > this.#first) this.#scheduleTidy();
  }

  #scheduleExpiry(): void {
    const ageMaxMs = this.#options.limits?.ageMaxMs;
    if (ageMaxMs === undefined) return;
    this.#cancelExpiry = this.#options.clock.after(Math.max(1000, Math.min(60_000, ageMaxMs / 10)), () => {
      try {
        this.#expire(this.#options.clock.now() - ageMaxMs);
        this.#scheduleExpiry();
      } catch (error) {
        this.#fail(error);
      }
    });
  }

  /** Moves every cursor past the events that arrived before `time`. */
  #expire(time: number): void {
    const position = this.#file.firstSince(time, this.#end);
    for (const cursor of this.#cursors.values()) {
      if (cursor.position >= position) continue;
      const { broker, limits } = this.#options;
      const fields = { broker, consumer: cursor.consumer, from: cursor.position, until: position, ...limits };
      this.#options.log.warn(fields, 'events removed that a consumer was not done with: they are too old');
      cursor.moveTo(position);
    }
  }

  #fail(error: unknown): void {
    if (this.#state === 'failed') return;
    this.#state = 'failed';
    this.#cancelExpiry?.();
    for (const append of this.#queue.splice(0)) append.reject(error);
    this.#asked?.reject(error);
    this.#options.onFailure(error);
  }
}

/** Whether the file is as it was before, and the next attempt may do better. */
function isHarmless(error: unknown): boolean {
  return error instanceof KittiwakeError && (error.code === 'DISK_FULL' || error.code === 'EVENT_LOG_IN_USE');
}
