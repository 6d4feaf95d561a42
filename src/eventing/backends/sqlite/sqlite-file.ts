import { closeSync, fdatasync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { makeFolder, syncFolder } from '../../../lib/durable.ts';
import { assert, commonErrors, KittiwakeError, messageOf } from '../../../lib/errors.ts';
import type { Attributes } from '../../cloudevents/event.ts';
import { eventErrors } from '../../errors.ts';
import type { NewEvent } from '../event-log.ts';
import type { CursorRow } from './log-cursor.ts';
import { Progress } from './progress.ts';
import type { Offset, StoredEvent } from './stored-event.ts';

/** 2: the log and each of its cursors say whose they are. */
const format = 2;
const sqliteFull = 13;
const sqliteBusy = 5;
/** SQLite's own. */
const pageCountLimit = 4_294_967_294;

/** `fs.fdatasync`. */
export type Flush = (fd: number, done: (error: Error | null) => void) => void;

/** An event as it will be written. */
export interface NewRow extends NewEvent {
  head: string;
  sizeBytes: number;
}

/** Throws when there is something in the event that cannot be written: before it is in a batch with others. */
export function rowOf({ event, headers }: NewEvent): NewRow {
  const head = JSON.stringify([event.attributes, headers]);
  return { event, headers, head, sizeBytes: head.length + (event.data?.length ?? 0) + 64 };
}

/** Offsets from `first` up to before `end`. */
interface Extent {
  first: Offset;
  end: Offset;
  bytes: number;
}

/**
 * The tables of one log, and when they are on disk. A commit only reaches the write-ahead log (synchronous=NORMAL,
 * which keeps the file consistent by itself); `sync` then flushes that file on libuv's pool, so the disk does not block
 * the event loop, as with synchronous=FULL, and no thread with a heap of its own (14 MB) is needed. What was committed
 * before a `sync` that resolved survives power loss: frames are checksummed and recovered in order.
 */
export class SqliteFile {
  readonly #path: string;
  readonly #flush: Flush;
  readonly #db: DatabaseSync;
  readonly #walFd: number;
  readonly #insert: StatementSync;
  readonly #select: StatementSync;

  /** Opens or creates the file, and locks it against other processes until `close`. */
  constructor(path: string, options: { pageCountMax?: number; fdatasync?: Flush | undefined } = {}) {
    const { pageCountMax = pageCountLimit, fdatasync: flush = fdatasync } = options;
    this.#path = path;
    this.#flush = flush;
    try {
      makeFolder(dirname(path));
      this.#db = new DatabaseSync(path);
    } catch (error) {
      throw errorOf(error, path);
    }
    let walFd: number | undefined;
    try {
      prepare(this.#db, path);
      this.#db.exec(`PRAGMA max_page_count = ${pageCountMax}`);
      walFd = openSync(`${path}-wal`, 'r+');
      syncFolder(dirname(path));
      this.#insert = this.#db.prepare('INSERT INTO events (offset, arrived, size, head, data) VALUES (?, ?, ?, ?, ?)');
      this.#select = this.#db.prepare(
        'SELECT offset, arrived, size, head, data FROM events WHERE offset >= ? AND offset < ? ORDER BY offset LIMIT ?',
      );
    } catch (error) {
      this.#db.close();
      if (walFd !== undefined) closeSync(walFd);
      throw errorOf(error, path);
    }
    this.#walFd = walFd;
  }

  /** What the log holds; when it cannot be read, the file is closed again. */
  contents(): { extent: Extent; cursors: CursorRow[]; owner: string | undefined } {
    try {
      return { extent: this.#extent(), cursors: this.#cursors(), owner: this.#owner() };
    } catch (error) {
      this.close();
      throw errorOf(error, this.#path);
    }
  }

  #extent(): Extent {
    const row = this.#db
      .prepare(
        `SELECT (SELECT value FROM counters WHERE name = 'end') AS end, min(offset) AS first, total(size) AS bytes
           FROM events`,
      )
      .get();
    const end = Number(row?.end);
    assert(Number.isSafeInteger(end) && end > 0, `the end of the log is ${row?.end}`);
    return { end, first: Number(row?.first ?? end), bytes: Number(row?.bytes) };
  }

  #cursors(): CursorRow[] {
    const rows = this.#db.prepare('SELECT consumer, owner, position, ranges FROM cursors ORDER BY rowid').all();
    return rows.map((row) => ({
      consumer: String(row.consumer),
      owner: String(row.owner),
      progress: Progress.parse(Number(row.position), String(row.ranges)),
    }));
  }

  #owner(): string | undefined {
    const row = this.#db.prepare(`SELECT value FROM texts WHERE name = 'owner'`).get();
    return row && String(row.value);
  }

  /** Commits whose log it is. */
  setOwner(owner: string): void {
    this.#transaction(() => this.#db.prepare(`INSERT OR REPLACE INTO texts VALUES ('owner', ?)`).run(owner));
  }

  /** Names owners as the first format did not: its consumers were called `TRIGGER/UID`, of the log's own namespace. */
  takeOver(namespace: string, owner: string): void {
    this.#transaction(() => {
      if (this.#owner() !== undefined) return;
      const cursors = this.#cursors();
      this.#db.exec('DELETE FROM cursors');
      this.#db.prepare(`INSERT INTO texts VALUES ('owner', ?)`).run(owner);
      for (const { consumer, progress } of cursors) {
        const [trigger = '', uid = ''] = consumer.split('/');
        this.#insertCursor({ consumer: `${namespace}/${trigger}`, owner: uid, progress });
      }
    });
  }

  #insertCursor({ consumer, owner, progress }: CursorRow): void {
    this.#db
      .prepare('INSERT OR REPLACE INTO cursors (consumer, position, ranges, owner) VALUES (?, ?, ?, ?)')
      .run(consumer, progress.position, progress.ranges, owner);
  }

  /** Commits the events, from `first` on, in one transaction: all of them or, when it throws, none. */
  append(first: Offset, arrivedAt: number, rows: readonly NewRow[]): StoredEvent[] {
    return this.#transaction(() => {
      const stored = rows.map((row, i) => this.#insertOne(first + i, arrivedAt, row));
      this.#db.prepare(`UPDATE counters SET value = ? WHERE name = 'end'`).run(first + rows.length);
      return stored;
    });
  }

  read(from: Offset, end: Offset, limit: number, bytesMax: number): StoredEvent[] {
    const events: StoredEvent[] = [];
    let bytes = 0;
    try {
      for (const row of this.#select.iterate(from, end, limit)) {
        const event = storedEvent(row);
        events.push(event);
        bytes += event.sizeBytes;
        if (bytes >= bytesMax) break;
      }
    } catch (error) {
      throw errorOf(error, this.#path);
    }
    return events;
  }

  /** Writes and removes cursors, and removes the events before `keepFrom`; returns how many bytes these held. */
  tidy(cursors: readonly CursorRow[], gone: readonly string[], keepFrom: Offset): number {
    return this.#transaction(() => {
      for (const cursor of cursors) this.#insertCursor(cursor);
      for (const consumer of gone) this.#db.prepare('DELETE FROM cursors WHERE consumer = ?').run(consumer);
      const row = this.#db.prepare('SELECT total(size) AS bytes FROM events WHERE offset < ?').get(keepFrom);
      this.#db.prepare('DELETE FROM events WHERE offset < ?').run(keepFrom);
      return Number(row?.bytes);
    });
  }

  /** The offset of the first event that arrived at `time` or later, at most `end`. */
  firstSince(time: number, end: Offset): Offset {
    const row = this.#db.prepare('SELECT offset FROM events WHERE arrived >= ? ORDER BY offset LIMIT 1').get(time);
    return Number(row?.offset ?? end);
  }

  /** Gives some free pages back to the disk. */
  shrink(): void {
    const free = this.#db.prepare('PRAGMA freelist_count').get();
    if (Number(free?.freelist_count) > 4096) this.#db.exec('PRAGMA incremental_vacuum(1024)');
  }

  /** Resolves when everything that was committed before is on disk. */
  sync(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#flush(this.#walFd, (error) => (error ? reject(failureOf(error, this.#path)) : resolve()));
    });
  }

  close(): void {
    this.#db.close();
    closeSync(this.#walFd);
  }

  #insertOne(offset: Offset, arrivedAt: number, { event, headers, head, sizeBytes }: NewRow): StoredEvent {
    this.#insert.run(offset, arrivedAt, sizeBytes, head, event.data ?? null);
    return { offset, arrivedAt, sizeBytes, event, headers };
  }

  #transaction<T>(work: () => T): T {
    try {
      this.#db.exec('BEGIN IMMEDIATE');
      const result = work();
      this.#db.exec('COMMIT');
      return result;
    } catch (error) {
      // A full disk rolls back by itself: then there is nothing left to undo.
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      throw errorOf(error, this.#path);
    }
  }
}

function prepare(db: DatabaseSync, path: string): void {
  const found = Number(db.prepare('PRAGMA user_version').get()?.user_version);
  if (found > format) throw eventErrors.EVENT_LOG_TOO_NEW({ path, found, known: format });
  db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL');
  db.exec('PRAGMA synchronous = NORMAL; PRAGMA cache_size = -1024; PRAGMA journal_size_limit = 33554432');
  // A checkpoint flushes the file while everything waits: one for each 32 MiB keeps that out of the 99th percentile.
  db.exec('PRAGMA wal_autocheckpoint = 8192');
  db.exec(`
    BEGIN IMMEDIATE;
    CREATE TABLE IF NOT EXISTS events (
      offset INTEGER PRIMARY KEY, arrived INTEGER NOT NULL, size INTEGER NOT NULL, head TEXT NOT NULL, data BLOB
    );
    CREATE TABLE IF NOT EXISTS cursors (consumer TEXT PRIMARY KEY, position INTEGER NOT NULL, ranges TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS texts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
    INSERT OR IGNORE INTO counters VALUES ('end', 1);
    ${found < 2 ? "ALTER TABLE cursors ADD COLUMN owner TEXT NOT NULL DEFAULT ''" : ''};
    PRAGMA user_version = ${format};
    COMMIT;
  `);
  settle(db, path);
}

/**
 * Moves what recovery found in the write-ahead log into the file, durably. After a crash, or a flush that failed, it
 * may have been in the page cache alone; nothing may be appended behind frames that a disk never got.
 */
export function settle(db: Pick<DatabaseSync, 'exec'>, path: string): void {
  try {
    db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  } catch (error) {
    const known = errorOf(error, path);
    // On a full disk it stays where it is, and what is there can still be read and delivered.
    if (known.code !== 'DISK_FULL') throw known;
  }
}

function storedEvent(row: Record<string, unknown>): StoredEvent {
  const { data } = row;
  const place = { offset: Number(row.offset), arrivedAt: Number(row.arrived), sizeBytes: Number(row.size) };
  let head: [Attributes, string[]];
  try {
    head = headOf(String(row.head));
  } catch (error) {
    return { ...place, headers: [], event: { attributes: {} }, damage: messageOf(error) };
  }
  const [attributes, headers] = head;
  if (!(data instanceof Uint8Array)) return { ...place, headers, event: { attributes } };
  return { ...place, headers, event: { attributes, data: Buffer.from(data.buffer, data.byteOffset, data.byteLength) } };
}

/** What a row says of its event. It may not be as it was written: then only that event is lost, not those after it. */
function headOf(text: string): [Attributes, string[]] {
  const [attributes, headers] = JSON.parse(text);
  assert(typeof attributes === 'object' && attributes !== null, 'there are no attributes');
  assert(Array.isArray(headers) && headers.every((value) => typeof value === 'string'), 'there are no headers');
  return [attributes, headers];
}

function errorOf(error: unknown, path: string): KittiwakeError {
  if (error instanceof KittiwakeError) return error;
  const { code, errcode } = error as { code?: unknown; errcode?: unknown };
  // SQLite's primary code is the low byte of an extended one.
  const primary = Number(errcode) & 0xff;
  if (primary === sqliteFull || code === 'ENOSPC') return commonErrors.DISK_FULL({ path }, { cause: error });
  if (primary === sqliteBusy) return eventErrors.EVENT_LOG_IN_USE({ path }, { cause: error });
  return failureOf(error, path);
}

function failureOf(error: unknown, path: string): KittiwakeError {
  return eventErrors.EVENT_LOG_FAILED({ path, why: messageOf(error) }, { cause: error });
}
