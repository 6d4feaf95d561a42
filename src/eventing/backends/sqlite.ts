import type { Clock } from '../../lib/clock.ts';
import { assert, KittiwakeError } from '../../lib/errors.ts';
import type { Logger } from '../../observe/log.ts';
import type { Cursor, EventLog, NewEvent, Offset, StoredEvent } from './event-log.ts';
import { Progress } from './progress.ts';
import { SqliteFile } from './sqlite-file.ts';
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
const trimCountMax = 2000;

interface Append {
  events: readonly NewEvent[];
  bytes: number;
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
  #gone: string[] = [];
  readonly #listeners = new Set<() => void>();
  #queue: Append[] = [];
  #queuedBytes = 0;
  /** The one commit or tidying at a time. */
  #work: Promise<void> | undefined;
  #cancelTidy: (() => void) | undefined;
  #cancelExpiry: (() => void) | undefined;
  #state: 'open' | 'closing' | 'failed' = 'open';
  #first: Offset;
  #end: Offset;
  #heldBytes: number;

  constructor(options: SqliteLogOptions) {
    this.#options = options;
    this.#file = new SqliteFile(options.path, options);
    const { first, end, bytes } = this.#file.extent();
    this.#first = first;
    this.#end = end;
    this.#heldBytes = bytes;
    for (const { consumer, progress } of this.#file.cursors()) this.#addCursor(consumer, progress);
    this.#scheduleExpiry();
  }

  get end(): Offset {
    return this.#end;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  append(events: readonly NewEvent[], options = { isReply: false }): Promise<Offset> {
    const bytes = events.reduce((sum, { event }) => sum + (event.data?.length ?? 0) + 512, 0);
    const refusal = this.#refusal(bytes, options.isReply);
    if (refusal) return Promise.reject(refusal);
    return new Promise((resolve, reject) => {
      this.#queue.push({ events, bytes, resolve, reject });
      this.#queuedBytes += bytes;
      this.#wake();
    });
  }

  async read(from: Offset, limit: number): Promise<readonly StoredEvent[]> {
    if (from >= this.#end || this.#state === 'failed') return [];
    return this.#tail.read(from, limit) ?? this.#file.read(from, this.#end, limit, readBytesMax);
  }

  async cursor(consumer: string): Promise<Cursor> {
    const known = this.#cursors.get(consumer);
    if (known) return known;
    this.#gone = this.#gone.filter((name) => name !== consumer);
    const cursor = this.#addCursor(consumer, new Progress(this.#end));
    this.#dirty.add(cursor);
    while (this.#dirty.has(cursor)) {
      await this.#work;
      if (this.#state !== 'open') throw new Error(`the event log ${this.#options.path} is closed`);
      if (this.#dirty.has(cursor)) await this.#run(() => this.#tidy());
    }
    return cursor;
  }

  retain(isKept: (consumer: string) => boolean): void {
    for (const [consumer, cursor] of this.#cursors) {
      if (isKept(consumer)) continue;
      this.#cursors.delete(consumer);
      this.#dirty.delete(cursor);
      this.#gone.push(consumer);
    }
    this.#scheduleTidy();
  }

  onAppend(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    if (this.#state === 'closing') return;
    const wasOpen = this.#state === 'open';
    this.#state = 'closing';
    this.#cancelTidy?.();
    this.#cancelExpiry?.();
    this.#cancelTidy = undefined;
    while (this.#work || (wasOpen && this.#queue.length > 0)) await (this.#work ?? this.#run(() => this.#commit()));
    if (wasOpen) await this.#run(() => this.#tidy());
    this.#file.close();
  }

  #refusal(bytes: number, isReply: boolean): Error | undefined {
    const { broker, limits, path } = this.#options;
    if (this.#state !== 'open') return new Error(`the event log ${path} is closed`);
    if (this.#queuedBytes + bytes > queueBytesMax) {
      return new KittiwakeError('BROKER_BUSY', { heldBytes: this.#queuedBytes });
    }
    const limitBytes = (limits?.bytesMax ?? 2 ** 30) * (isReply ? 1 : 0.9);
    const heldBytes = this.#heldBytes + this.#queuedBytes;
    if (heldBytes + bytes <= limitBytes) return undefined;
    return new KittiwakeError('EVENT_LOG_FULL', { broker, heldBytes, limitBytes, slowest: this.#slowest() });
  }

  #slowest(): string {
    const cursors = [...this.#cursors.values()].toSorted((a, b) => a.position - b.position);
    const slowest = cursors[0];
    return slowest ? `${slowest.consumer} by ${this.#end - slowest.position} events` : 'there are none';
  }

  /** Runs the next commit once the appends of this turn of the event loop are in. */
  #wake(): void {
    if (this.#work || this.#state === 'failed') return;
    this.#work = new Promise<void>((resolve) => setImmediate(resolve)).then(() => this.#commit());
    this.#settle();
  }

  /** Starts `work` alone, when nothing else runs. */
  #run(work: () => Promise<void>): Promise<void> {
    assert(!this.#work, 'one write at a time');
    this.#work = work();
    return this.#settle();
  }

  #settle(): Promise<void> {
    const work = this.#work?.finally(() => {
      this.#work = undefined;
      if (this.#queue.length > 0) this.#wake();
    });
    this.#work = work;
    return work ?? Promise.resolve();
  }

  async #commit(): Promise<void> {
    const batch = this.#takeBatch();
    if (batch.length === 0) return;
    const events = batch.flatMap((append) => append.events);
    let stored: StoredEvent[];
    try {
      stored = this.#file.append(this.#end, this.#options.clock.now(), events);
    } catch (error) {
      for (const append of batch) append.reject(error);
      if (!(error instanceof KittiwakeError)) this.#fail(error);
      return;
    }
    try {
      await this.#file.sync();
    } catch (error) {
      for (const append of batch) append.reject(error);
      return this.#fail(error);
    }
    this.#accept(batch, stored);
  }

  #accept(batch: readonly Append[], stored: readonly StoredEvent[]): void {
    for (const event of stored) this.#heldBytes += event.sizeBytes;
    let offset = this.#end;
    this.#end += stored.length;
    if (this.#cursors.size > 0) this.#tail.push(stored);
    else this.#scheduleTidy();
    for (const append of batch) {
      offset += append.events.length;
      append.resolve(offset - 1);
    }
    for (const listener of this.#listeners) listener();
  }

  #takeBatch(): Append[] {
    let count = 0;
    let bytes = 0;
    let taken = 0;
    for (const append of this.#queue) {
      if (taken > 0 && (count + append.events.length > batchCountMax || bytes + append.bytes > batchBytesMax)) break;
      count += append.events.length;
      bytes += append.bytes;
      taken++;
    }
    this.#queuedBytes -= bytes;
    return this.#queue.splice(0, taken);
  }

  #addCursor(consumer: string, progress: Progress): LogCursor {
    const cursor = new LogCursor(consumer, progress, () => {
      if (this.#cursors.get(consumer) !== cursor) return;
      this.#dirty.add(cursor);
      this.#scheduleTidy();
    });
    this.#cursors.set(consumer, cursor);
    return cursor;
  }

  #scheduleTidy(): void {
    if (this.#cancelTidy || this.#state !== 'open') return;
    this.#cancelTidy = this.#options.clock.after(tidyDelayMs, () => {
      this.#cancelTidy = undefined;
      void this.#tidyWhenFree();
    });
  }

  async #tidyWhenFree(): Promise<void> {
    while (this.#work) await this.#work;
    if (this.#state === 'open') await this.#run(() => this.#tidy());
  }

  /** Writes what changed of the cursors, and removes a slice of what nobody needs. */
  async #tidy(): Promise<void> {
    const cursors = [...this.#dirty];
    const gone = this.#gone;
    this.#dirty.clear();
    this.#gone = [];
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
      for (const cursor of cursors) this.#dirty.add(cursor);
      this.#gone.push(...gone);
      if (!(error instanceof KittiwakeError)) return this.#fail(error);
      this.#options.log.warn({ err: error }, 'cursors not written, trying again');
      this.#options.clock.after(1000, () => this.#scheduleTidy());
      return;
    }
    if (needed > this.#first || this.#dirty.size > 0) this.#scheduleTidy();
  }

  #scheduleExpiry(): void {
    const ageMaxMs = this.#options.limits?.ageMaxMs;
    if (ageMaxMs === undefined) return;
    this.#cancelExpiry = this.#options.clock.after(Math.max(1000, Math.min(60_000, ageMaxMs / 10)), () => {
      this.#expire(this.#options.clock.now() - ageMaxMs);
      this.#scheduleExpiry();
    });
  }

  /** Moves every cursor past the events that arrived before `time`. */
  #expire(time: number): void {
    if (this.#state !== 'open') return;
    const position = this.#file.firstSince(time, this.#end);
    for (const cursor of this.#cursors.values()) {
      if (cursor.position >= position) continue;
      const { broker, limits } = this.#options;
      const fields = { broker, consumer: cursor.consumer, from: cursor.position, until: position, ...limits };
      this.#options.log.warn(fields, 'events removed that a consumer was not done with: they are too old');
      cursor.moveTo(position);
    }
    this.#scheduleTidy();
  }

  #fail(error: unknown): void {
    this.#state = 'failed';
    for (const append of this.#queue.splice(0)) append.reject(error);
    this.#queuedBytes = 0;
    this.#options.onFailure(error);
  }
}

class LogCursor implements Cursor {
  readonly consumer: string;
  readonly progress: Progress;
  readonly #onChange: () => void;

  constructor(consumer: string, progress: Progress, onChange: () => void) {
    this.consumer = consumer;
    this.progress = progress;
    this.#onChange = onChange;
  }

  get position(): Offset {
    return this.progress.position;
  }

  isDone(offset: Offset): boolean {
    return this.progress.isDone(offset);
  }

  done(offset: Offset): void {
    this.progress.done(offset);
    this.#onChange();
  }

  moveTo(position: Offset): void {
    this.progress.moveTo(position);
    this.#onChange();
  }
}
