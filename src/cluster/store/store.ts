import type { EventEmitter } from 'node:events';
import { getHeapStatistics } from 'node:v8';
import { Worker } from 'node:worker_threads';
import type { KubeObject } from '../../api/meta.ts';
import type { Clock } from '../../lib/clock.ts';
import { assert, commonErrors, messageOf } from '../../lib/errors.ts';
import type { Logger } from '../../observe/log.ts';
import type { Metrics } from '../../observe/metrics.ts';
import { deepFreeze } from './deep-freeze.ts';
import { storeErrors } from './errors.ts';
import type { Durability, FromWriter, OpenFailure, Row, RowChange, ToWriter, WriterOptions } from './protocol.ts';
import { StoredObject } from './stored-object.ts';
import { type StoreEvent, Table } from './table.ts';

export interface StoreOptions {
  /** The database; its folder must exist. */
  file: string;
  clock: Clock;
  log: Logger;
  /** An upper limit on the size of the database, in pages of 4096 bytes; none unless given. */
  pagesMax?: number;
  metrics?: Metrics | undefined;
  /** What all objects together may take in memory; a quarter of what the process may have, unless given. */
  heldBytesMax?: number | undefined;
  /** Makes what writes to the disk; a thread unless given. The simulator has one on virtual time. */
  startWriter?: ((options: WriterOptions) => StoreWriter) | undefined;
}

/** The store's other side: gets `ToWriter`, emits `message` with `FromWriter`, and `error` and `exit` when it ends. */
export type StoreWriter = EventEmitter & Pick<Worker, 'postMessage' | 'terminate'>;

/** More writes than this, or of more text, waiting for the disk, and further ones are refused. */
const pendingMax = 10_000;
const pendingBytesMax = 64 * 1024 * 1024;

/** No object is larger: a request's body is not, but patches may add up. */
const objectBytesMax = 4 * 1024 * 1024;

/** What the events that all tables remember may keep in memory; the tables with the most forget first. */
const eventBytesMax = 64 * 1024 * 1024;

/** Only what is there already may still grow above the limit, so far: statuses, and the marks of deletions. */
const heldReserve = 1.25;
/** Marking an object as deleted takes no more. */
const markBytes = 1024;

interface Pending {
  id: number;
  table: Table;
  key: string;
  revision: number;
  next: StoredObject | undefined;
  bytes: number;
  resolve: () => void;
  reject: (error: unknown) => void;
}

/**
 * All objects, in memory and in one SQLite file. Writes are decided at once against memory and those that wait for the
 * disk, get the next revision, and are acknowledged, readable and watchable only when on disk. Those that come while
 * a commit is under way share the next one:
 *
 *     put ──▶ waiting ──┐                    ┌─▶ tables ─▶ subscribers ─▶ promise resolves
 *     put ──▶ waiting ──┴─▶ writer: commit ──┤
 *                                            └─▶ failed: it and all that waits is rejected (what waits may build on it)
 *
 * Revisions only grow, over restarts too; there may be gaps.
 */
export class Store {
  /** What all objects together may take in memory. */
  readonly heldBytesMax: number;
  readonly #worker: StoreWriter;
  readonly #options: StoreOptions;
  readonly #measure: (commit: { writes: number; seconds: number }) => void;
  readonly #tables = new Map<string, Table>();
  readonly #rowIds = new Map<Table, Map<string, number>>();
  readonly #latest = new Map<Table, Map<string, Pending>>();
  #waiting: Pending[] = [];
  #committing: Pending[] = [];
  #lastStaged: Promise<void> = Promise.resolve();
  #isFlushDue = false;
  #pendingBytes = 0;
  #heldBytes = 0;
  #commitBeganAt = 0;
  #revision = 0;
  #assigned = 0;
  #nextRowId = 1;
  #ended: Error | undefined;
  #durability: Durability = { journalMode: '', synchronous: 0 };
  #onClosed: (() => void) | undefined;

  private constructor(worker: StoreWriter, options: StoreOptions) {
    this.#worker = worker;
    this.#options = options;
    this.heldBytesMax = options.heldBytesMax ?? Math.floor(getHeapStatistics().heap_size_limit / 4);
    this.#measure = commitMetrics(options.metrics);
  }

  /** Errors: STORE_IN_USE, STORE_TOO_NEW, STORE_FAILED, DISK_FULL. */
  static open(options: StoreOptions): Promise<Store> {
    const workerData: WriterOptions = { file: options.file, pagesMax: options.pagesMax };
    const worker = (options.startWriter ?? startThread)(workerData);
    const store = new Store(worker, options);
    return new Promise((resolve, reject) => {
      worker.once('error', reject);
      worker.on('message', (message: FromWriter) => {
        if (message.type === 'rows') {
          try {
            for (const row of message.rows) store.#load(row);
          } catch (error) {
            reject(error);
            void worker.terminate(); // It has nothing to lose: nothing was written.
          }
        } else if (message.type === 'opened') {
          store.#durability = message.durability;
          for (const { table, revision } of message.deletions) store.#noteRevision(store.table(table), revision);
          store.#start();
          resolve(store);
        } else if (message.type === 'refused') {
          reject(openError(message.why, options.file));
        } else {
          store.#onMessage(message);
        }
      });
    });
  }

  /** How the database says that it writes. */
  get durability(): Durability {
    return this.#durability;
  }

  /** The newest revision that is on disk. */
  get revision(): number {
    return this.#revision;
  }

  /** The objects of one resource that are on disk. A table that does not exist yet is empty. */
  table(name: string): Table {
    let table = this.#tables.get(name);
    if (!table) {
      table = new Table(name);
      this.#tables.set(name, table);
    }
    return table;
  }

  /** Every table that holds, or held, something. */
  tables(): Iterable<Table> {
    return this.#tables.values();
  }

  /** The object as the next write will find it: what is on disk, or what waits for it. */
  latest(table: Table, key: string): StoredObject | undefined {
    const pending = this.#latest.get(table)?.get(key);
    return pending ? pending.next : table.get(key);
  }

  /** The objects of writes to `table` that wait for the disk, by their keys; of each key the last. */
  *waiting(table: Table): Iterable<[key: string, object: KubeObject]> {
    for (const [key, { next }] of this.#latest.get(table) ?? []) if (next) yield [key, next.object];
  }

  /**
   * Creates or replaces the object: stamps its `metadata.resourceVersion`, freezes it, and takes it over. The caller
   * has decided, in this same turn of the event loop, against `latest`. Resolves when it is on disk; errors:
   * DISK_FULL, STORE_BUSY, STORE_FULL, OBJECT_TOO_LARGE.
   */
  put(table: Table, key: string, object: KubeObject): { stored: StoredObject; durable: Promise<void> } {
    this.#refuseWhenBusy();
    const revision = ++this.#assigned;
    object.metadata.resourceVersion = String(revision);
    const stored = new StoredObject(deepFreeze(object), revision);
    // Here, so that what cannot be made text is a failure of this write and of no other.
    const sizeBytes = stored.keepJson().length;
    if (sizeBytes > objectBytesMax) throw storeErrors.OBJECT_TOO_LARGE({ sizeBytes, limitBytes: objectBytesMax });
    this.#refuseWhenFull(stored, this.latest(table, key));
    return { stored, durable: this.#stage(table, key, revision, stored) };
  }

  /** Removes the object, which must be there; `revision` is the deletion's. As `put`. */
  remove(table: Table, key: string): { revision: number; durable: Promise<void> } {
    assert(this.latest(table, key), `${table.name} ${key} is there to be removed`);
    this.#refuseWhenBusy();
    const revision = ++this.#assigned;
    return { revision, durable: this.#stage(table, key, revision, undefined) };
  }

  /** Resolves when all that was written so far is on disk. */
  settled(): Promise<void> {
    return this.#committing.length + this.#waiting.length === 0 ? Promise.resolve() : this.#lastStaged;
  }

  /** Waits for what is under way, then closes the file. */
  async close(): Promise<void> {
    if (this.#ended) return;
    while (this.#committing.length + this.#waiting.length > 0) {
      await this.settled().catch(() => {}); // Whoever wrote has been told.
    }
    this.#ended = new Error('the store is closed');
    await new Promise<void>((resolve) => {
      this.#onClosed = resolve;
      this.#send({ type: 'close' });
    });
    await this.#worker.terminate();
  }

  #refuseWhenBusy(): void {
    if (this.#ended) throw this.#ended;
    if (this.#waiting.length >= pendingMax || this.#pendingBytes >= pendingBytesMax)
      throw storeErrors.STORE_BUSY({ waiting: this.#waiting.length });
  }

  /** All objects are in memory: what adds to them is refused before it is more than the process can hold. */
  #refuseWhenFull(next: StoredObject, current: StoredObject | undefined): void {
    if (this.#heldBytes < this.heldBytesMax) return;
    const isMark =
      next.object.metadata.deletionTimestamp !== undefined && current?.object.metadata.deletionTimestamp === undefined;
    const roomBytes =
      this.#heldBytes < this.heldBytesMax * heldReserve ? Number.POSITIVE_INFINITY : isMark ? markBytes : 0;
    if (current && next.weight - current.weight <= roomBytes) return;
    throw storeErrors.STORE_FULL({ heldBytes: this.#heldBytes, limitBytes: this.heldBytesMax });
  }

  #stage(table: Table, key: string, revision: number, next: StoredObject | undefined): Promise<void> {
    const durable = new Promise<void>((resolve, reject) => {
      const bytes = next?.json.length ?? 0;
      const pending = { id: this.#rowId(table, key), table, key, revision, next, bytes, resolve, reject };
      this.#pendingBytes += bytes;
      this.#waiting.push(pending);
      mapOf(this.#latest, table).set(key, pending);
    });
    this.#lastStaged = durable;
    durable.catch(() => {}); // Callers see it through their own handle; `settled` may have no caller.
    if (this.#committing.length === 0 && !this.#isFlushDue) {
      this.#isFlushDue = true;
      queueMicrotask(() => this.#flush());
    }
    return durable;
  }

  #flush(): void {
    this.#isFlushDue = false;
    if (this.#waiting.length === 0) return;
    this.#committing = this.#waiting;
    this.#waiting = [];
    const changes = this.#committing.map(
      ({ id, table, key, revision, next }): RowChange => ({ id, table: table.name, key, revision, json: next?.json }),
    );
    this.#commitBeganAt = this.#options.clock.monotonic();
    this.#send({ type: 'commit', changes });
  }

  #onMessage(message: FromWriter): void {
    if (message.type === 'committed') this.#onCommitted();
    else if (message.type === 'failed') this.#onFailed(message.isDiskFull, message.message);
    else this.#onClosed?.();
  }

  #onCommitted(): void {
    const done = this.#committing;
    this.#committing = [];
    const { clock, log } = this.#options;
    this.#measure({ writes: done.length, seconds: (clock.monotonic() - this.#commitBeganAt) / 1000 });
    const nowMs = clock.now();
    // Before the new events and not after: who reads as they come has taken the old ones, however many come now.
    this.#trim(nowMs);
    const byTable = new Map<Table, StoreEvent[]>();
    for (const pending of done) {
      const { table, key, revision, next } = pending;
      const events = byTable.get(table);
      const event = table.apply(key, revision, next, nowMs);
      this.#heldBytes += (next?.weight ?? 0) - (event.previous?.weight ?? 0);
      this.#revision = revision;
      if (events) events.push(event);
      else byTable.set(table, [event]);
      this.#forgetPending(pending);
      if (!next && !this.#latest.get(table)?.has(key)) this.#rowIds.get(table)?.delete(key);
    }
    this.#flush();
    for (const pending of done) pending.resolve();
    for (const [table, events] of byTable) {
      table.publish(events, (err) => log.error({ err, table: table.name }, 'a subscriber of the store failed'));
    }
  }

  #onFailed(isDiskFull: boolean, why: string): void {
    const { file, log } = this.#options;
    const failed = [...this.#committing, ...this.#waiting];
    this.#committing = [];
    this.#waiting = [];
    const error = isDiskFull
      ? commonErrors.DISK_FULL({ path: file }, { cause: new Error(why) })
      : storeErrors.STORE_FAILED({ file, why });
    log.error({ file, why, writes: failed.length }, 'the store could not write');
    for (const pending of failed) {
      this.#forgetPending(pending);
      if (!pending.table.get(pending.key)) this.#rowIds.get(pending.table)?.delete(pending.key);
    }
    for (const pending of failed) pending.reject(error);
  }

  #trim(nowMs: number): void {
    let weight = 0;
    for (const table of this.#tables.values()) {
      table.trim(nowMs);
      weight += table.weight;
    }
    while (weight > eventBytesMax) {
      const heaviest = [...this.#tables.values()].reduce((a, b) => (b.weight > a.weight ? b : a));
      weight -= heaviest.weight;
      heaviest.forgetOldest(1);
      weight += heaviest.weight;
    }
  }

  #forgetPending(pending: Pending): void {
    this.#pendingBytes -= pending.bytes;
    const latest = this.#latest.get(pending.table);
    if (latest?.get(pending.key) === pending) latest.delete(pending.key);
  }

  #load(row: Row): void {
    const table = this.table(row.table);
    const stored = new StoredObject(deepFreeze(objectOf(row, this.#options.file)), row.revision);
    table.load(row.key, stored);
    this.#heldBytes += stored.weight;
    mapOf(this.#rowIds, table).set(row.key, row.id);
    this.#nextRowId = Math.max(this.#nextRowId, row.id + 1);
    this.#noteRevision(table, row.revision);
  }

  #noteRevision(table: Table, revision: number): void {
    table.forgetUpTo(revision);
    this.#revision = Math.max(this.#revision, revision);
  }

  #start(): void {
    this.#assigned = this.#revision;
    const onEnd = (error: Error) => {
      if (this.#ended) return this.#onClosed?.(); // Whoever closes it waits for no answer any more.
      this.#onFailed(false, error.message);
      this.#ended = storeErrors.STORE_FAILED({ file: this.#options.file, why: error.message });
    };
    this.#worker.on('error', onEnd);
    this.#worker.on('exit', (code) => onEnd(new Error(`the store's writer ended with code ${code}`)));
  }

  #rowId(table: Table, key: string): number {
    const ids = mapOf(this.#rowIds, table);
    let id = ids.get(key);
    if (id === undefined) {
      id = this.#nextRowId++;
      ids.set(key, id);
    }
    return id;
  }

  #send(message: ToWriter): void {
    this.#worker.postMessage(message);
  }
}

function startThread(workerData: WriterOptions): StoreWriter {
  return new Worker(new URL('./writer.ts', import.meta.url), {
    workerData,
    name: 'store-writer',
    resourceLimits: { maxYoungGenerationSizeMb: 4 },
  });
}

function commitMetrics(metrics: Metrics | undefined): (commit: { writes: number; seconds: number }) => void {
  if (!metrics) return () => {};
  const writes = metrics.counter('kittiwake_store_writes_total', 'Writes of objects that are on disk.');
  const duration = metrics.histogram('kittiwake_store_commit_seconds', 'How long a commit of a batch of writes took.');
  return (commit) => {
    writes.inc(commit.writes);
    duration.observe(commit.seconds);
  };
}

function mapOf<V>(maps: Map<Table, Map<string, V>>, table: Table): Map<string, V> {
  let inner = maps.get(table);
  if (!inner) {
    inner = new Map();
    maps.set(table, inner);
  }
  return inner;
}

/** What is damaged is not left out silently: its object would be gone for whoever counts on it. */
function objectOf({ json, key, table }: Row, file: string): KubeObject {
  try {
    return JSON.parse(json) as KubeObject;
  } catch (error) {
    throw storeErrors.STORE_FAILED({ file, why: `${table} ${key} is damaged: ${messageOf(error)}` });
  }
}

function openError(why: OpenFailure, file: string): Error {
  if (why.kind === 'in-use') return storeErrors.STORE_IN_USE({ file });
  if (why.kind === 'disk-full') return commonErrors.DISK_FULL({ path: file });
  if (why.kind === 'too-new') {
    return storeErrors.STORE_TOO_NEW({ file, found: why.found, known: why.known });
  }
  return storeErrors.STORE_FAILED({ file, why: why.message });
}
