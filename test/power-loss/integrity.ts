import { DatabaseSync } from 'node:sqlite';

/** What SQLite itself finds wrong with a database that was opened and closed. */
export function integrity(file: string): string[] {
  const database = new DatabaseSync(file, { readOnly: true });
  try {
    const found = database
      .prepare('PRAGMA integrity_check')
      .all()
      .map((row) => String(row.integrity_check));
    return found.length === 1 && found[0] === 'ok' ? [] : found;
  } finally {
    database.close();
  }
}
