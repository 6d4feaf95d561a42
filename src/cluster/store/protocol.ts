/** What the store's main side and its writer thread say to each other. */

export interface WriterOptions {
  file: string;
  /** An upper limit on the size of the database, in pages of 4096 bytes. */
  pagesMax: number | undefined;
}

/** One change: `json` undefined means that the object is deleted. `id` is the row's, chosen by the main side. */
export interface RowChange {
  id: number;
  table: string;
  key: string;
  revision: number;
  json: string | undefined;
}

export interface Row {
  id: number;
  table: string;
  key: string;
  revision: number;
  json: string;
}

/** The highest revision at which something of a table was deleted. */
export interface Deletion {
  table: string;
  revision: number;
}

export type ToWriter = { type: 'commit'; changes: RowChange[] } | { type: 'close' };

export type FromWriter =
  | { type: 'rows'; rows: Row[] }
  | { type: 'opened'; deletions: Deletion[]; durability: Durability }
  | { type: 'refused'; why: OpenFailure }
  | { type: 'committed' }
  | { type: 'failed'; isDiskFull: boolean; message: string }
  | { type: 'closed' };

/** What SQLite answers when it is asked how it writes: 2 is FULL, a sync with each commit. */
export interface Durability {
  journalMode: string;
  synchronous: number;
}

export type OpenFailure =
  | { kind: 'in-use' }
  | { kind: 'too-new'; found: number; known: number }
  | { kind: 'disk-full' }
  | { kind: 'other'; message: string };
