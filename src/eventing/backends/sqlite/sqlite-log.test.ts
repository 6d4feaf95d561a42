import assert from 'node:assert/strict';
import { copyFileSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { VirtualClock } from '../../../lib/virtual-clock.ts';
import { silentLogger } from '../../../observe/log.ts';
import type { NewEvent } from '../event-log.ts';
import { appendAll } from '../testing/append-all.ts';
import { SqliteLog, type SqliteLogOptions } from './sqlite-log.ts';
import type { StoredEvent } from './stored-event.ts';
import { heldDisk } from './testing/held-disk.ts';
import { tidiedOn } from './testing/tidied.ts';

describe('a log in SQLite', () => {
  let dir = '';
  let opened: SqliteLog[] = [];
  const clock = new VirtualClock();
  const tidied = (log: SqliteLog, isSo: () => boolean) => tidiedOn(clock, log, isSo);

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'kittiwake-log-'));
  });

  afterEach(async () => {
    await Promise.all(opened.map((log) => log.close()));
    opened = [];
    rmSync(dir, { recursive: true });
  });

  function open(options: Partial<SqliteLogOptions> = {}): SqliteLog {
    const log = new SqliteLog({
      path: join(dir, 'log.db'),
      broker: 'default/b',
      clock,
      log: silentLogger,
      onFailure: (error) => assert.fail(String(error)),
      ...options,
    });
    opened.push(log);
    return log;
  }

  const event = (id: number, data = 'data'): NewEvent => ({
    event: { attributes: { specversion: '1.0', id: String(id), source: '/s', type: 't' }, data: Buffer.from(data) },
    headers: ['traceparent', 'x'],
  });

  const ids = (events: readonly StoredEvent[]) => events.map((stored) => stored.event.attributes.id).join();

  test('events are read in the order of their offsets, from memory and from disk alike', async () => {
    const log = open();
    const cursor = await log.cursor('c');
    assert.equal(await appendAll(log, [event(1), event(2)]), 2);
    assert.equal(await log.append(event(3)), 3);
    const fromMemory = await log.read(cursor.position, 10);
    assert.equal(ids(fromMemory), '1,2,3');
    assert.equal(ids(await log.read(2, 1)), '2');
    assert.equal(ids(await log.read(4, 10)), '');
    await log.close();
    const again = open();
    const fromDisk = await again.read(1, 10);
    assert.deepEqual(fromDisk, fromMemory);
    assert.equal(again.end, 4);
  });

  test('appends that come together share one flush, and each gets its own offset', async () => {
    const log = open();
    const offsets = await Promise.all(Array.from({ length: 100 }, (_, i) => log.append(event(i))));
    assert.deepEqual(
      offsets,
      Array.from({ length: 100 }, (_, i) => i + 1),
    );
  });

  test('a new consumer starts at the end, a known one where it was, with what it did out of order', async () => {
    const log = open();
    const early = await log.cursor('early');
    for (let i = 1; i <= 5; i++) await log.append(event(i));
    const late = await log.cursor('late');
    assert.equal(early.position, 1);
    assert.equal(late.position, 6);
    early.done(1);
    early.done(4);
    await log.close();
    const again = await open().cursor('early');
    assert.equal(again.position, 2);
    assert.deepEqual(
      [2, 3, 4, 5].map((offset) => again.isDone(offset)),
      [false, false, true, false],
    );
  });

  test('what is committed is in the file at the moment of the acknowledgement: a copy taken then has it', async () => {
    const log = open();
    await log.cursor('c');
    await log.append(event(1));
    for (const suffix of ['', '-wal']) copyFileSync(join(dir, `log.db${suffix}`), join(dir, `copy.db${suffix}`));
    const copy = open({ path: join(dir, 'copy.db') });
    assert.equal(ids(await copy.read(1, 10)), '1');
    assert.equal((await copy.cursor('c')).position, 1);
  });

  test('cursors are given while producers append without a pause', async () => {
    const log = open();
    let isDone = false;
    const producers = Array.from({ length: 8 }, async (_, i) => {
      while (!isDone) await log.append(event(i));
    });
    for (let i = 0; i < 50; i++) {
      const cursor = await log.cursor(`c${i}`);
      assert.ok(cursor.position <= log.end);
    }
    isDone = true;
    await Promise.all(producers);
  });

  test('an append is acknowledged and read only once it is flushed, and so is a cursor', async () => {
    const disk = heldDisk();
    const log = open({ fdatasync: disk.fdatasync });
    const seen: string[] = [];
    log.onAppend(() => seen.push('heard'));
    const asked = log.cursor('c').then(() => seen.push('cursor'));
    const again = log.cursor('c').then(() => seen.push('cursor again'));
    await disk.isAsked(1);
    assert.equal(seen.length, 0);
    disk.release();
    await Promise.all([asked, again]);
    assert.equal(seen.join(), 'cursor,cursor again');
    const appended = log.append(event(1)).then(() => seen.push('acknowledged'));
    const other = log.append(event(2)).then(() => seen.push('acknowledged'));
    await disk.isAsked(2);
    assert.equal(seen.length, 2);
    assert.equal(log.end, 1);
    assert.equal(ids(await log.read(1, 10)), '');
    disk.release();
    await Promise.all([appended, other]);
    assert.equal(seen.slice(2).join(), 'heard,acknowledged,acknowledged');
    assert.equal(log.end, 3);
    assert.equal(ids(await log.read(1, 10)), '1,2');
    disk.letGo();
  });

  test('a flush that fails acknowledges nothing, shows nothing, and ends the log with the reason', async () => {
    const disk = heldDisk();
    const failures: unknown[] = [];
    const log = open({ fdatasync: disk.fdatasync, onFailure: (error) => failures.push(error) });
    const first = log.append(event(1));
    const refused = assert.rejects(first, { code: 'EVENT_LOG_FAILED', status: 503, message: /log\.db .*no space/ });
    await disk.isAsked(1);
    const waiting = assert.rejects(log.append(event(2)), { code: 'EVENT_LOG_FAILED' });
    const place = assert.rejects(log.cursor('c'), { code: 'EVENT_LOG_FAILED' });
    disk.release(Object.assign(new Error('no space'), { code: 'ENOSPC' }));
    await Promise.all([refused, waiting, place]);
    assert.equal(failures.length, 1);
    assert.equal(log.end, 1);
    assert.equal(ids(await log.read(1, 10)), '');
    await assert.rejects(log.append(event(3)), { code: 'BROKER_NOT_READY' });
    await assert.rejects(log.cursor('c'), { code: 'BROKER_NOT_READY' });
  });

  test('a cursor that is not on disk is no cursor: the next attempt begins anew', async () => {
    const log = open({ pageCountMax: 16 });
    await assert.rejects(
      async () => {
        for (;;) await log.append(event(1, 'x'.repeat(3000)));
      },
      { code: 'DISK_FULL' },
    );
    const names = Array.from({ length: 200 }, (_, i) => `consumer ${i} ${'x'.repeat(200)}`);
    const first = await Promise.allSettled(names.map((name) => log.cursor(name)));
    assert.ok(first.every(({ status }) => status === 'rejected'));
    const second = await Promise.allSettled(names.map((name) => log.cursor(name)));
    assert.ok(second.every(({ status }) => status === 'rejected'));
    await log.close();
    const after = open();
    await after.append(event(2));
    assert.equal((await after.cursor(names[0] ?? '')).position, after.end);
  });

  test('a consumer that is gone and comes back before that is on disk is a consumer', async () => {
    const log = open();
    await log.cursor('c');
    await log.forget('c');
    await log.cursor('c');
    await log.append(event(1));
    await log.close();
    assert.equal((await open().cursor('c')).position, 1);
  });

  test('events that cannot be read any more are told as such, and those around them are there', async () => {
    const log = open();
    await log.cursor('c');
    await appendAll(log, [event(1), event(2), event(3), event(4)]);
    await log.close();
    const db = new DatabaseSync(join(dir, 'log.db'));
    db.exec(`UPDATE events SET head = '{' WHERE offset = 2; UPDATE events SET head = '[null,[7]]' WHERE offset = 3`);
    db.close();
    const events = await open().read(1, 10);
    assert.equal(ids(events), '1,,,4');
    assert.deepEqual(
      events.map(({ damage }) => damage !== undefined),
      [false, true, true, false],
    );
  });

  test('an event that cannot be written is refused alone', async () => {
    const log = open();
    const hostile = { event: { attributes: { id: 1n as unknown as number } }, headers: [] };
    const [first, second, third] = await Promise.allSettled([
      log.append(event(1)),
      log.append(hostile),
      log.append(event(2)),
    ]);
    assert.deepEqual([first?.status, second?.status, third?.status], ['fulfilled', 'rejected', 'fulfilled']);
  });

  test('a damaged file is an error that names it, and its lock is let go of', async () => {
    const path = join(dir, 'log.db');
    writeFileSync(path, 'not a database, but long enough to have a header'.repeat(100));
    for (let i = 0; i < 2; i++) assert.throws(() => open(), { code: 'EVENT_LOG_FAILED', message: /log\.db .*move it/ });
    rmSync(path);
    await open().close();
    const db = new DatabaseSync(path);
    db.exec(`INSERT INTO cursors VALUES ('c', 5, '3-2', '')`);
    db.close();
    for (let i = 0; i < 2; i++) assert.throws(() => open(), { code: 'EVENT_LOG_FAILED', message: /range 3-2/ });
    rmSync(path);
    writeFileSync(join(dir, 'file'), '');
    assert.throws(() => open({ path: join(dir, 'file', 'log.db') }), { code: 'EVENT_LOG_FAILED' });
  });

  test('what every consumer is done with is removed, slice by slice, and what one still needs is not', async () => {
    const log = open();
    const [fast, slow] = await Promise.all([log.cursor('fast'), log.cursor('slow')]);
    await appendAll(
      log,
      Array.from({ length: 5000 }, (_, i) => event(i + 1)),
    );
    for (let offset = 1; offset <= 5000; offset++) fast.done(offset);
    await clock.advance(1000);
    const full = log.heldBytes;
    for (let offset = 1; offset <= 4999; offset++) slow.done(offset);
    await tidied(log, () => log.heldBytes < full / 1000);
    assert.equal(ids(await log.read(1, 10)), '5000');
    await log.forget('slow');
    await tidied(log, () => log.heldBytes === 0);
  });

  test('events without any consumer are not kept', async () => {
    const log = open();
    await appendAll(log, [event(1), event(2)]);
    await tidied(log, () => log.heldBytes === 0);
    assert.equal(log.end, 3);
  });

  test('a consumer that comes after events for nobody gets every event from its place on', async () => {
    const log = open();
    const lagging = await log.cursor('lagging');
    const last = await appendAll(
      log,
      Array.from({ length: 3000 }, (_, i) => event(i)),
    );
    assert.equal(ids(await log.read(lagging.position, 1)), '0');
    await log.forget('lagging');
    await appendAll(log, [event(3000), event(3001)]);
    const cursor = await log.cursor('new');
    assert.equal(cursor.position, last + 3);
    await log.append(event(3002));
    assert.equal(ids(await log.read(cursor.position, 10)), '3002');
    await log.append(event(3003));
    assert.equal(ids(await log.read(cursor.position, 10)), '3002,3003');
    assert.equal(ids(await log.read(cursor.position - 1, 10)), '3001,3002,3003');
  });

  test('a full log refuses events, names the slowest consumer, keeps room for replies, and recovers', async () => {
    const log = open({ limits: { bytesMax: 10_000 } });
    const cursor = await log.cursor('slow');
    let offset = 0;
    await assert.rejects(
      async () => {
        for (;;) offset = await log.append(event(1, 'x'.repeat(500)));
      },
      { code: 'EVENT_LOG_FULL', status: 503, message: /of broker default\/b .* behind \(slow by \d+ events\)/ },
    );
    assert.equal(await log.append(event(2), { isReply: true }), offset + 1);
    for (let done = 1; done <= offset; done++) cursor.done(done);
    await tidied(log, () => log.heldBytes < 1000);
    await log.append(event(3));
  });

  test('a full disk acknowledges nothing, loses nothing, and events are taken again once there is room', async () => {
    const log = open({ pageCountMax: 40 });
    const cursor = await log.cursor('c');
    let offset = 0;
    await assert.rejects(
      async () => {
        for (;;) offset = await log.append(event(offset + 1, 'x'.repeat(3000)));
      },
      { code: 'DISK_FULL', status: 507 },
    );
    assert.ok(offset > 5);
    assert.equal(log.end, offset + 1);
    assert.equal((await log.read(1, 1000)).length, offset);
    for (let done = 1; done <= offset; done++) cursor.done(done);
    await tidied(log, () => log.heldBytes === 0);
    assert.equal(await log.append(event(9)), offset + 1);
  });

  test('events older than the limit are removed, and the consumer that misses them moves on', async () => {
    const log = open({ limits: { ageMaxMs: 60_000 } });
    const cursor = await log.cursor('c');
    await log.append(event(1));
    await clock.advance(50_000);
    await log.append(event(2));
    await clock.advance(20_000);
    assert.equal(cursor.position, 2);
    assert.equal(ids(await log.read(cursor.position, 10)), '2');
  });

  test('a log that another broker has open is not opened a second time', async () => {
    open();
    assert.throws(() => open(), { code: 'EVENT_LOG_IN_USE' });
  });

  test('a log that a newer version wrote is left alone, with an error that says so', async () => {
    const path = join(dir, 'log.db');
    await open().close();
    const db = new DatabaseSync(path);
    db.exec('PRAGMA user_version = 99');
    db.close();
    assert.throws(() => open(), { code: 'EVENT_LOG_TOO_NEW', message: /has format 99, this version reads up to 2/ });
    assert.ok(existsSync(path));
  });

  test('a closed log refuses appends, and what was pending is written first', async () => {
    const log = open();
    const pending = log.append(event(1));
    await log.close();
    assert.equal(await pending, 1);
    await assert.rejects(log.append(event(2)), /is closed/);
  });
});
