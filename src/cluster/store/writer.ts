/**
 * The writer thread: it alone touches the database, so that waiting for the disk never stops the event loop that
 * serves requests. One message is one transaction.
 */
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { messageOf } from '../../lib/errors.ts';
import type {
  Deletion,
  Durability,
  FromWriter,
  OpenFailure,
  Row,
  RowChange,
  ToWriter,
  WriterOptions,
} from './protocol.ts';

/** Grows with each change of the tables below; a database of a higher one is refused. */
const formatKnown = 1;

/** How long to wait for a predecessor that is just ending to let go of the lock. */
const lockWaitMs = 2000;

/** The write-ahead log is moved into the database when nothing was written for this long. */
const checkpointAfterIdleMs = 500;

const rowsPerMessage = 500;

const sqliteBusy = 5;
const sqliteIoError = 10;
const sqliteFull = 13;

class TooNew extends Error {
  readonly found: number;
  constructor(found: number) {
    super(`format ${found}`);
    this.found = found;
  }
}

const port = parentPort as MessagePort;
const send = (message: FromWriter) => port.postMessage(message);
const { file, pagesMax } = workerData as WriterOptions;

let database: DatabaseSync | undefined;
try {
  database = new DatabaseSync(file, { timeout: lockWaitMs });
  prepare(database);
  sendRows(database);
  serve(database);
} catch (error) {
  database?.close();
  send({ type: 'refused', why: failureOf(error) });
}

function prepare(db: DatabaseSync): void {
  // EXCLUSIVE before WAL: the lock is held for life, and no shared-memory file is needed.
  db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
  db.exec('PRAGMA wal_autocheckpoint = 4000; PRAGMA journal_size_limit = 16777216; PRAGMA cache_size = -2000');
  db.exec('BEGIN IMMEDIATE; COMMIT'); // Takes the lock now, not at the first write.
  if (pagesMax !== undefined) {
    db.exec(`PRAGMA max_page_count = ${pagesMax}`);
  }
  const found = Number(db.prepare('PRAGMA user_version').get()?.user_version);
  if (found > formatKnown) throw new TooNew(found);
  if (found === 0) createTables(db);
  settle(db);
}

/**
 * Moves the write-ahead log into the database, durably. Of a process that was killed between a write and its sync, the
 * log may be in the page cache alone: nobody may be shown what is in it until it is on disk.
 */
function settle(db: DatabaseSync): void {
  try {
    db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  } catch (error) {
    // Then it stays where it is: a full disk is no reason not to show what there is.
    if (!isDiskFull(error)) throw error;
  }
}

function createTables(db: DatabaseSync): void {
  db.exec(`
    BEGIN IMMEDIATE;
    CREATE TABLE object (
      id INTEGER PRIMARY KEY, resource TEXT NOT NULL, key TEXT NOT NULL, revision INTEGER NOT NULL, json TEXT NOT NULL
    );
    CREATE TABLE deletion (resource TEXT PRIMARY KEY, revision INTEGER NOT NULL) WITHOUT ROWID;
    PRAGMA user_version = ${formatKnown};
    COMMIT`);
}

function sendRows(db: DatabaseSync): void {
  let rows: Row[] = [];
  for (const row of db.prepare('SELECT id, resource, key, revision, json FROM object').iterate()) {
    const { id, resource, key, revision, json } = row;
    rows.push({
      id: Number(id),
      table: String(resource),
      key: String(key),
      revision: Number(revision),
      json: String(json),
    });
    if (rows.length === rowsPerMessage) {
      send({ type: 'rows', rows });
      rows = [];
    }
  }
  send({ type: 'rows', rows });
  const deletions = db.prepare('SELECT resource, revision FROM deletion').all();
  send({
    type: 'opened',
    durability: durabilityOf(db),
    deletions: deletions.map((d): Deletion => ({ table: String(d.resource), revision: Number(d.revision) })),
  });
}

function durabilityOf(db: DatabaseSync): Durability {
  const ask = (name: string) => db.prepare(`PRAGMA ${name}`).get()?.[name];
  return { journalMode: String(ask('journal_mode')), synchronous: Number(ask('synchronous')) };
}

function serve(db: DatabaseSync): void {
  const statements = {
    put: db.prepare(
      `INSERT INTO object (id, resource, key, revision, json) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET revision = excluded.revision, json = excluded.json`,
    ),
    remove: db.prepare('DELETE FROM object WHERE id = ?'),
    noteDeletion: db.prepare(
      `INSERT INTO deletion (resource, revision) VALUES (?, ?)
       ON CONFLICT (resource) DO UPDATE SET revision = excluded.revision`,
    ),
  };
  let idle: NodeJS.Timeout | undefined;
  port.on('message', (message: ToWriter) => {
    clearTimeout(idle);
    if (message.type === 'close') {
      db.close();
      send({ type: 'closed' }); // Whereupon the store ends the thread.
      return;
    }
    send(commit(db, statements, message.changes));
    idle = setTimeout(() => checkpoint(db), checkpointAfterIdleMs);
  });
}

interface Statements {
  put: StatementSync;
  remove: StatementSync;
  noteDeletion: StatementSync;
}

function commit(db: DatabaseSync, statements: Statements, changes: readonly RowChange[]): FromWriter {
  try {
    db.exec('BEGIN IMMEDIATE');
    for (const { id, table, key, revision, json } of changes) {
      if (json === undefined) {
        statements.remove.run(id);
        statements.noteDeletion.run(table, revision);
      } else {
        statements.put.run(id, table, key, revision, json);
      }
    }
    db.exec('COMMIT');
    return { type: 'committed' };
  } catch (error) {
    rollBack(db);
    return { type: 'failed', isDiskFull: isDiskFull(error), message: messageOf(error) };
  }
}

/** A transaction that cannot be undone ends the writer, and with it the store, which says so to all who write. */
function rollBack(db: DatabaseSync): void {
  if (db.isTransaction) db.exec('ROLLBACK');
}

function checkpoint(db: DatabaseSync): void {
  try {
    db.exec('PRAGMA wal_checkpoint(PASSIVE)');
  } catch {
    // What it would have moved is safe in the log, and the next checkpoint moves it.
  }
}

/** The primary result code is the low byte; SQLite reports ENOSPC of the log's file as an I/O error. */
function resultCode(error: unknown): number {
  return (error as { errcode: number }).errcode & 0xff;
}

function isDiskFull(error: unknown): boolean {
  return [sqliteFull, sqliteIoError].includes(resultCode(error));
}

function failureOf(error: unknown): OpenFailure {
  if (error instanceof TooNew) return { kind: 'too-new', found: error.found, known: formatKnown };
  if (resultCode(error) === sqliteBusy) return { kind: 'in-use' };
  if (isDiskFull(error)) return { kind: 'disk-full' };
  return { kind: 'other', message: messageOf(error) };
}
