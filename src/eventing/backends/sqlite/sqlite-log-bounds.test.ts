/** What a log in SQLite keeps, and for how long; what it does at a time; what becomes of it when something fails. */

import assert from 'node:assert/strict';
import { closeSync, fstatSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { VirtualClock } from '../../../lib/virtual-clock.ts';
import { silentLogger } from '../../../observe/log.ts';
import type { NewEvent } from '../event-log.ts';
import { appendAll } from '../testing/append-all.ts';
import { rowOf } from './sqlite-file.ts';
import { SqliteLog, type SqliteLogOptions } from './sqlite-log.ts';
import { heldDisk } from './testing/held-disk.ts';
import { tidiedOn } from './testing/tidied.ts';

const mebibyte = 1024 * 1024;
const event = (data = Buffer.from('data')): NewEvent => ({
  event: { attributes: { specversion: '1.0', id: '1', source: '/s', type: 't' }, data },
  headers: [],
});
const emptyBytes = rowOf(event(Buffer.alloc(0))).sizeBytes;
const zeros = Buffer.alloc(32 * mebibyte);
/** An event that counts as so many bytes. */
const sized = (bytes: number) => event(zeros.subarray(0, bytes - emptyBytes));
const many = (count: number) => Array.from({ length: count }, () => event());
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

describe('a log in SQLite', () => {
  let dir = '';
  let opened: SqliteLog[] = [];
  let clock: VirtualClock;
  /** Of all timers, in order. */
  let delays: number[] = [];
  let warnings: string[] = [];
  let failures: unknown[] = [];

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'kittiwake-log-bounds-'));
    [opened, delays, warnings, failures] = [[], [], [], []];
    clock = new VirtualClock();
    const after = clock.after.bind(clock);
    clock.after = (delayMs, task) => {
      delays.push(delayMs);
      return after(delayMs, task);
    };
  });

  afterEach(async () => {
    await Promise.all(opened.map((log) => log.close()));
    rmSync(dir, { recursive: true });
  });

  function open(options: Partial<SqliteLogOptions> = {}): SqliteLog {
    const log = new SqliteLog({
      path: join(dir, 'log.db'),
      broker: 'default/b',
      clock,
      log: { ...silentLogger, warn: (_, message) => warnings.push(String(message)) },
      onFailure: (error) => failures.push(error),
      ...options,
    });
    opened.push(log);
    return log;
  }

  const reopened = async (log: SqliteLog, options: Partial<SqliteLogOptions> = {}) => {
    await log.close();
    return open(options);
  };

  test('a tenth of a log is kept for replies, to the byte, and what waits counts', async () => {
    const log = open({ limits: { bytesMax: 10_000 } });
    await log.cursor('c');
    for (let i = 0; i < 7; i++) await log.append(sized(1000));
    const waiting = log.append(sized(1000));
    await assert.rejects(log.append(sized(1001)), { code: 'EVENT_LOG_FULL' });
    await Promise.all([waiting, log.append(sized(1000))]);
    await assert.rejects(log.append(sized(300)), { code: 'EVENT_LOG_FULL' });
    await assert.rejects(log.append(sized(1001), { isReply: true }), { code: 'EVENT_LOG_FULL' });
    await log.append(sized(1000), { isReply: true });
    assert.equal(log.heldBytes, 10_000);
  });

  test('a log keeps 1 GiB unless told otherwise', async () => {
    const log = open();
    await log.cursor('c');
    await log.append(event());
    await log.close();
    const db = new DatabaseSync(join(dir, 'log.db'));
    db.exec(`UPDATE events SET size = ${Math.floor(0.9 * 2 ** 30) - 1000}`);
    db.close();
    const again = open();
    await assert.rejects(again.append(sized(1001)), { code: 'EVENT_LOG_FULL' });
    await again.append(sized(1000));
  });

  test('a full log names the consumer that holds it up, or that there is none', async () => {
    const log = open({ limits: { bytesMax: 10_000 } });
    await assert.rejects(log.append(sized(9_001)), { message: /there are none/ });
    const fast = await log.cursor('fast');
    await log.cursor('slow');
    await appendAll(log, many(3));
    fast.done(1);
    await assert.rejects(log.append(sized(9_001)), { message: /slow by 3 events/ });
  });

  test('a consumer that keeps up reads from memory, the very events that were appended', async () => {
    const log = open();
    const cursor = await log.cursor('c');
    const appended = event();
    await log.append(appended);
    assert.equal((await log.read(1, 1))[0]?.event, appended.event);
    cursor.done(1);
    await tidiedOn(clock, log, () => log.heldBytes === 0);
    assert.deepEqual(await log.read(1, 10), []);
  });

  test('a read from disk gives 4 MiB at once', async () => {
    const log = open();
    await log.cursor('c');
    for (let i = 0; i < 9; i++) await log.append(sized(mebibyte));
    const again = await reopened(log);
    assert.equal((await again.read(1, 100)).length, 4);
  });

  test('who is gone holds nothing any more, whatever its old cursor does, and comes back anew', async () => {
    const log = open();
    const [gone] = await Promise.all([log.cursor('gone'), log.cursor('kept')]);
    await appendAll(log, many(2));
    await log.forget('gone');
    gone.done(1);
    const again = await reopened(log);
    assert.equal((await again.cursor('kept')).position, 1);
    const back = await again.cursor('gone');
    assert.equal(back.position, 3);
    await again.forget('gone');
    await clock.advance(1_000);
    await appendAll(again, many(2));
    back.done(3);
    assert.equal((await (await reopened(again)).cursor('gone')).position, 5);
  });

  test('those who stay hold what they have not done when others go', async () => {
    const log = open();
    await Promise.all([log.cursor('gone'), log.cursor('kept')]);
    await appendAll(log, many(2));
    await log.forget('gone');
    await clock.advance(1_000);
    assert.equal((await log.read(1, 10)).length, 2);
    assert.equal((await log.cursor('kept')).position, 1);
  });

  test('who missed what was too old has still missed it after the next start', async () => {
    const log = open({ limits: { ageMaxMs: 60_000 } });
    await log.cursor('c');
    await appendAll(log, many(2));
    await clock.advance(66_000);
    assert.equal((await (await reopened(log)).cursor('c')).position, 3);
  });

  test('cursors are written 50 ms after the first change, however many follow, and not again', async () => {
    const disk = heldDisk();
    const log = open({ fdatasync: disk.fdatasync });
    disk.letGo();
    const cursor = await log.cursor('c');
    await appendAll(log, many(100));
    const [before, timers] = [disk.asked, delays.length];
    for (let offset = 1; offset <= 100; offset++) cursor.done(offset);
    await clock.advance(49);
    assert.equal(disk.asked, before);
    await clock.advance(1);
    await disk.isAsked(before + 1);
    await clock.advance(10_000);
    assert.deepEqual([disk.asked, delays.length], [before + 1, timers + 1]);
    await log.close();
    assert.equal(disk.asked, before + 1, 'nothing was left to be written');
  });

  test('who is gone is removed once', async () => {
    const disk = heldDisk();
    const log = open({ fdatasync: disk.fdatasync });
    disk.letGo();
    await log.cursor('c');
    await log.forget('c');
    const before = disk.asked;
    await clock.advance(50);
    await disk.isAsked(before + 1);
    await log.close();
    assert.equal(disk.asked, before + 1);
  });

  test('what nobody needs is removed 2,000 events at a time', async () => {
    const log = open();
    const cursor = await log.cursor('c');
    for (let i = 0; i < 5; i++) await appendAll(log, many(1000));
    for (let offset = 1; offset <= 5000; offset++) cursor.done(offset);
    const { heldBytes } = log;
    await clock.advance(50);
    await tidiedOn(clock, log, () => log.heldBytes < heldBytes);
    assert.equal(log.heldBytes, (heldBytes / 5) * 3);
    await tidiedOn(clock, log, () => log.heldBytes === 0);
  });

  test('a log in which nothing changes has no timers', async () => {
    const log = open();
    await log.cursor('c');
    await appendAll(log, many(2));
    assert.deepEqual(delays, []);
  });

  test('a log that is closed has no timers, and takes no more changes', async () => {
    const log = open({ limits: { ageMaxMs: 60_000 } });
    const cursor = await log.cursor('c');
    await appendAll(log, many(2));
    cursor.done(1);
    await log.close();
    cursor.done(2);
    const timers = delays.length;
    await clock.advance(3_600_000);
    assert.deepEqual([delays.length, warnings, failures], [timers, [], []]);
  });

  for (const [ageMaxMs, everyMs] of [
    [5_000, 1_000],
    [60_000, 6_000],
    [3_600_000, 60_000],
  ] as const) {
    test(`what is older than ${ageMaxMs} ms is looked for every ${everyMs} ms`, () => {
      open({ limits: { ageMaxMs } });
      assert.deepEqual(delays, [everyMs]);
    });
  }

  test('who is done with what is too old misses nothing, and is not told so', async () => {
    const log = open({ limits: { ageMaxMs: 60_000 } });
    const [ahead, behind] = await Promise.all([log.cursor('ahead'), log.cursor('behind')]);
    await appendAll(log, many(2));
    for (const offset of [1, 2]) ahead.done(offset);
    await clock.advance(70_000);
    assert.deepEqual([ahead.position, behind.position], [3, 3]);
    assert.equal(warnings.length, 1);
    await tidiedOn(clock, log, () => log.heldBytes === 0);
  });

  test('cursors that a full disk cannot take are tried again each second, and none is forgotten', async () => {
    const log = open({ pageCountMax: 16 });
    const [wide, steady] = await Promise.all([log.cursor('wide'), log.cursor('steady'), log.cursor('gone')]);
    await appendAll(log, many(2));
    for (let offset = 3; offset < 20_000; offset += 2) wide.done(offset);
    steady.done(1);
    await log.forget('gone');
    const warned: number[] = [];
    for (const ms of [50, 999, 1, 999, 1]) {
      await clock.advance(ms);
      for (let i = 0; i < 5; i++) await turn();
      warned.push(warnings.length);
    }
    assert.deepEqual(warned, [1, 1, 2, 2, 3]);
    for (const offset of [1, 2]) wide.done(offset);
    for (let offset = 4; offset < 20_000; offset += 2) wide.done(offset);
    const again = await reopened(log);
    assert.deepEqual(failures, []);
    assert.equal((await again.cursor('steady')).position, 2);
    assert.equal((await again.cursor('gone')).position, 3);
  });

  test('consumers that found the disk full do not keep it full', async () => {
    const log = open({ pageCountMax: 16 });
    const cursor = await log.cursor('c');
    await assert.rejects(
      async () => {
        for (;;) await log.append(sized(3000));
      },
      { code: 'DISK_FULL' },
    );
    const names = Array.from({ length: 200 }, (_, i) => `consumer ${i} ${'x'.repeat(200)}`);
    const asked = await Promise.allSettled(names.map((name) => log.cursor(name)));
    assert.ok(asked.every(({ status }) => status === 'rejected'));
    for (let offset = 1; offset < log.end; offset++) cursor.done(offset);
    await tidiedOn(clock, log, () => log.heldBytes === 0);
  });

  test('a flush of cursors that fails ends the log, and nothing is written to it any more', async () => {
    const disk = heldDisk();
    const log = open({ fdatasync: disk.fdatasync, limits: { ageMaxMs: 60_000 } });
    const opening = log.cursor('c');
    await disk.isAsked(1);
    disk.release();
    const cursor = await opening;
    const appended = appendAll(log, many(2));
    await disk.isAsked(2);
    disk.release();
    await appended;
    cursor.done(1);
    await clock.advance(50);
    await disk.isAsked(3);
    disk.release(new Error('no more'));
    for (let i = 0; i < 5; i++) await turn();
    assert.equal(failures.length, 1);
    assert.match(String(failures[0]), /no more/);
    await assert.rejects(log.append(event()), { code: 'BROKER_NOT_READY' });
    assert.deepEqual(await log.read(1, 10), []);
    cursor.done(2);
    warnings = [];
    const timers = delays.length;
    await clock.advance(3_600_000);
    assert.deepEqual([warnings, delays.length], [[], timers]);
    await log.close();
    assert.equal(disk.asked, 3);
  });

  /** A log of more than it keeps in memory, opened anew. */
  async function large(options: Partial<SqliteLogOptions>): Promise<SqliteLog> {
    const log = open();
    await log.cursor('c');
    for (let i = 0; i < 2; i++)
      await appendAll(
        log,
        Array.from({ length: 1000 }, () => sized(1500)),
      );
    return await reopened(log, options);
  }

  function damage(): void {
    const fd = openSync(join(dir, 'log.db'), 'r+');
    const size = fstatSync(fd).size - 4096;
    writeSync(fd, Buffer.alloc(size, 0xff), 0, size, 4096);
    closeSync(fd);
  }

  test('a log that cannot be read ends with the reason, once, whatever fails next', async () => {
    const disk = heldDisk();
    const log = await large({ fdatasync: disk.fdatasync });
    const refused = assert.rejects(log.append(event()), { code: 'EVENT_LOG_FAILED' });
    await disk.isAsked(1);
    damage();
    await assert.rejects(log.read(1, 10), { code: 'EVENT_LOG_FAILED' });
    assert.deepEqual(await log.read(1, 10), []);
    disk.release(new Error('no more'));
    await refused;
    assert.equal(failures.length, 1);
  });

  test('a log in which nothing can be looked for ends with the reason', async () => {
    const log = await large({ limits: { ageMaxMs: 60_000 } });
    damage();
    await clock.advance(6_000);
    assert.equal(failures.length, 1);
    await assert.rejects(log.append(event()), { code: 'BROKER_NOT_READY' });
  });

  test('a log that has become small gives what it had back to the disk', async () => {
    const log = open();
    const cursor = await log.cursor('c');
    await log.append(sized(17 * mebibyte));
    cursor.done(1);
    await tidiedOn(clock, log, () => log.heldBytes === 0);
    await log.close();
    assert.ok(statSync(join(dir, 'log.db')).size < 14 * mebibyte);
  });

  for (const [what, waiting, flushes] of [
    ['1,024 events', [many(1000), many(24)], 1],
    ['more than 1,024 events', [many(1000), many(25)], 2],
    ['2,048 events', [many(1025), many(1023)], 2],
    ['8 MiB', [[sized(4 * mebibyte)], [sized(4 * mebibyte)]], 1],
    ['more than 8 MiB', [[sized(4 * mebibyte)], [sized(4 * mebibyte + 1)]], 2],
  ] as const) {
    test(`what waits for the disk is written together: ${what} with ${flushes} flushes`, async () => {
      const disk = heldDisk();
      const log = open({ fdatasync: disk.fdatasync });
      const first = log.append(event());
      await disk.isAsked(1);
      const others = waiting.map((events) => appendAll(log, events));
      disk.letGo();
      await Promise.all([first, ...others]);
      assert.equal(disk.asked, 1 + flushes);
      assert.equal(log.end, 2 + waiting.flat().length);
    });
  }

  test('what waits for the disk has at most 32 MiB, and what is written waits no more', async () => {
    const disk = heldDisk();
    const log = open({ fdatasync: disk.fdatasync });
    disk.letGo();
    await log.append(sized(30 * mebibyte));
    const waiting = [log.append(sized(16 * mebibyte)), log.append(sized(16 * mebibyte))];
    await assert.rejects(log.append(event()), { code: 'BROKER_BUSY' });
    await Promise.all(waiting);
    await log.append(event());
  });
});
