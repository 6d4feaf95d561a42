import { DatabaseSync } from 'node:sqlite';

/** A log as the first format had it, with one event; the first consumer (`TRIGGER/UID`) has yet to get it. */
export function writeOldLog(path: string, consumers: readonly string[], id = '1'): void {
  const db = new DatabaseSync(path);
  db.exec(`
    PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;
    CREATE TABLE events (
      offset INTEGER PRIMARY KEY, arrived INTEGER NOT NULL, size INTEGER NOT NULL, head TEXT NOT NULL, data BLOB
    );
    CREATE TABLE cursors (consumer TEXT PRIMARY KEY, position INTEGER NOT NULL, ranges TEXT NOT NULL);
    CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
    INSERT INTO counters VALUES ('end', 8);
    PRAGMA user_version = 1;
  `);
  const head = JSON.stringify([{ specversion: '1.0', id, source: '/s', type: 't' }, []]);
  db.prepare('INSERT INTO events VALUES (7, 0, 100, ?, NULL)').run(head);
  for (const [i, consumer] of consumers.entries()) {
    db.prepare('INSERT INTO cursors VALUES (?, ?, ?)').run(consumer, 7 + (i % 2), '');
  }
  db.close();
}
