import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, it, type TestContext } from 'node:test';
import { Worker } from 'node:worker_threads';
import { until } from '../../lib/testing/until.ts';
import type { FromWriter, RowChange, ToWriter } from './protocol.ts';

function fileIn(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'kittiwake-writer-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return join(dir, 'store.db');
}

/** The writer's thread, and what it says, one message after the other. */
class Writer {
  readonly #worker: Worker;
  readonly #said: FromWriter[] = [];
  #isEnded = false;

  constructor(t: TestContext, file: string, pagesMax?: number) {
    this.#worker = new Worker(new URL('./writer.ts', import.meta.url), { workerData: { file, pagesMax } });
    this.#worker.on('message', (message: FromWriter) => this.#said.push(message));
    this.#worker.on('exit', () => {
      this.#isEnded = true;
    });
    t.after(() => this.#worker.terminate());
  }

  async next(): Promise<FromWriter> {
    while (this.#said.length === 0) {
      if (this.#isEnded) throw new Error('the writer has ended');
      await Promise.race([once(this.#worker, 'message'), once(this.#worker, 'exit')]);
    }
    return this.#said.shift() as FromWriter;
  }

  /** What it says until the database is open, or refused. */
  async opening(): Promise<FromWriter[]> {
    const said = [await this.next()];
    while (said.at(-1)?.type === 'rows') said.push(await this.next());
    return said;
  }

  async commit(...changes: RowChange[]): Promise<FromWriter> {
    this.#send({ type: 'commit', changes });
    return this.next();
  }

  async close(): Promise<void> {
    this.#send({ type: 'close' });
    assert.deepEqual(await this.next(), { type: 'closed' });
  }

  #send(message: ToWriter): void {
    this.#worker.postMessage(message);
  }
}

const put = (id: number, key: string, revision: number, json = '{}'): RowChange => ({
  ...{ id, table: '/a', key, revision },
  json,
});
const remove = (id: number, key: string, revision: number): RowChange => ({
  ...put(id, key, revision),
  json: undefined,
});

describe("the store's writer", () => {
  it('commits what is put and removed, and finds it again, with the newest deletion of each table', async (t) => {
    const file = fileIn(t);
    const first = new Writer(t, file);
    const durability = { journalMode: 'wal', synchronous: 2 };
    assert.deepEqual(await first.opening(), [
      { type: 'rows', rows: [] },
      { type: 'opened', deletions: [], durability },
    ]);
    assert.deepEqual(await first.commit(put(1, 'x', 1, '{"n":1}'), put(2, 'y', 2), put(3, 'z', 3)), {
      type: 'committed',
    });
    assert.deepEqual(await first.commit(put(1, 'x', 4, '{"n":2}'), remove(2, 'y', 5)), { type: 'committed' });
    assert.deepEqual(await first.commit(remove(3, 'z', 6), { ...remove(9, 'w', 7), table: '/b' }), {
      type: 'committed',
    });
    await first.close();
    const [rows, opened] = await new Writer(t, file).opening();
    assert.deepEqual(rows, { type: 'rows', rows: [{ id: 1, table: '/a', key: 'x', revision: 4, json: '{"n":2}' }] });
    const deletions = [
      { table: '/a', revision: 6 },
      { table: '/b', revision: 7 },
    ];
    assert.deepEqual(opened, { type: 'opened', deletions, durability });
  });

  it('sends 500 rows at a time', async (t) => {
    const file = fileIn(t);
    const first = new Writer(t, file);
    await first.opening();
    await first.commit(...Array.from({ length: 501 }, (_, at) => put(at, `k${at}`, at)));
    await first.close();
    const said = await new Writer(t, file).opening();
    assert.deepEqual(
      said.map((message) => (message.type === 'rows' ? message.rows.length : message.type)),
      [500, 1, 'opened'],
    );
  });

  it('commits all changes of a message or none, says that the disk is full, and goes on', async (t) => {
    const file = fileIn(t);
    const writer = new Writer(t, file, 20);
    await writer.opening();
    const failed = await writer.commit(put(1, 'x', 1), put(2, 'y', 2, 'x'.repeat(200_000)));
    assert.deepEqual([failed.type, failed.type === 'failed' && failed.isDiskFull], ['failed', true]);
    assert.match(failed.type === 'failed' ? failed.message : '', /full/);
    assert.deepEqual(await writer.commit(put(3, 'z', 3)), { type: 'committed' });
    await writer.close();
    const [rows] = await new Writer(t, file).opening();
    assert.deepEqual(rows?.type === 'rows' && rows.rows.map(({ key }) => key), ['z']);
  });

  it('says what else went wrong with a commit, and goes on', async (t) => {
    const writer = new Writer(t, fileIn(t));
    await writer.opening();
    const failed = await writer.commit({ ...put(1, 'x', 1), key: null as unknown as string });
    assert.deepEqual([failed.type, failed.type === 'failed' && failed.isDiskFull], ['failed', false]);
    assert.deepEqual(await writer.commit(put(1, 'x', 2)), { type: 'committed' });
    await writer.close();
  });

  it('shows only what is in the database itself, not in its log', async (t) => {
    const file = fileIn(t);
    const first = new Writer(t, file);
    await first.opening();
    await first.commit(put(1, 'x', 1));
    assert.ok(statSync(`${file}-wal`).size > 0);
    await first.close();
    const left = new DatabaseSync(file);
    left.exec('PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; UPDATE object SET revision = 2');
    // As after a kill: the log is left behind, and nobody holds the database.
    const copy = fileIn(t);
    for (const end of ['', '-wal']) writeFileSync(copy + end, readFileSync(file + end));
    left.close();
    const second = new Writer(t, copy);
    const [rows] = await second.opening();
    assert.equal(rows?.type === 'rows' && rows.rows[0]?.revision, 2);
    assert.equal(statSync(`${copy}-wal`).size, 0);
    await second.close();
  });

  it('moves the log into the database when nothing was written for a while', async (t) => {
    const file = fileIn(t);
    const writer = new Writer(t, file);
    await writer.opening();
    const before = statSync(file).mtimeMs;
    await writer.commit(put(1, 'x', 1, `"${'x'.repeat(50_000)}"`));
    await until(() => statSync(file).mtimeMs > before && statSync(file).size > 50_000);
    assert.deepEqual(await writer.commit(put(1, 'x', 2)), { type: 'committed' });
    await writer.close();
  });

  it('refuses a database that a newer version wrote, and reads one of this version', async (t) => {
    for (const [version, said] of [
      [2, { type: 'refused', why: { kind: 'too-new', found: 2, known: 1 } }],
      [99, { type: 'refused', why: { kind: 'too-new', found: 99, known: 1 } }],
    ] as const) {
      const file = fileIn(t);
      const newer = new DatabaseSync(file);
      newer.exec(`PRAGMA user_version = ${version}`);
      newer.close();
      assert.deepEqual(await new Writer(t, file).opening(), [said]);
    }
  });

  it('says what else is wrong with a database', async (t) => {
    const file = fileIn(t);
    writeFileSync(file, 'this is a text, not a database, and it is longer than the header of one.'.repeat(20));
    const [said] = await new Writer(t, file).opening();
    assert.deepEqual([said?.type, said?.type === 'refused' && said.why.kind], ['refused', 'other']);
    assert.match(said?.type === 'refused' && said.why.kind === 'other' ? said.why.message : '', /not a database/);
  });

  it('says that the disk is full when there is no room for its tables', async (t) => {
    assert.deepEqual(await new Writer(t, fileIn(t), 1).opening(), [{ type: 'refused', why: { kind: 'disk-full' } }]);
  });

  it('lets go of the file as it closes', async (t) => {
    const file = fileIn(t);
    const writer = new Writer(t, file);
    await writer.opening();
    await writer.commit(put(1, 'x', 1));
    await writer.close();
    const other = new DatabaseSync(file, { timeout: 0 });
    other.exec('DELETE FROM object');
    other.close();
  });

  it('waits for a predecessor that is ending, and says when it is not', async (t) => {
    const file = fileIn(t);
    const first = new Writer(t, file);
    await first.opening();
    const second = new Writer(t, file).opening();
    await first.commit(put(1, 'x', 1));
    await first.close();
    const [rows] = await second;
    assert.equal(rows?.type === 'rows' && rows.rows.length, 1);
    assert.deepEqual(await new Writer(t, file).opening(), [{ type: 'refused', why: { kind: 'in-use' } }]);
  });
});
