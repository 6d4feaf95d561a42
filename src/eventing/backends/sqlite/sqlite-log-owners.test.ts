/** Whose a log in SQLite is, and its places; and who reads from them. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { VirtualClock } from '../../../lib/virtual-clock.ts';
import { silentLogger } from '../../../observe/log.ts';
import type { NewEvent } from '../event-log.ts';
import { SqliteLog, type SqliteLogOptions } from './sqlite-log.ts';
import { heldDisk } from './testing/held-disk.ts';

const event: NewEvent = {
  event: { attributes: { specversion: '1.0', id: '1', source: '/s', type: 't' } },
  headers: [],
};
const long = 'x'.repeat(200_000);

describe('the owners of a log in SQLite', () => {
  let dir = '';
  let opened: SqliteLog[] = [];
  let failures: unknown[] = [];

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'kittiwake-log-owners-'));
    [opened, failures] = [[], []];
  });

  afterEach(async () => {
    await Promise.all(opened.map((log) => log.close()));
    rmSync(dir, { recursive: true });
  });

  function open(options: Partial<SqliteLogOptions> = {}): SqliteLog {
    const log = new SqliteLog({
      path: join(dir, 'log.db'),
      broker: 'default/b',
      clock: new VirtualClock(),
      log: silentLogger,
      onFailure: (error) => failures.push(error),
      ...options,
    });
    opened.push(log);
    return log;
  }

  test('a log has an owner once that is flushed', async () => {
    const disk = heldDisk();
    const log = open({ fdatasync: disk.fdatasync });
    let isAdopted = false;
    const adopting = log.adopt('first').then(() => {
      isAdopted = true;
    });
    await disk.isAsked(1);
    assert.deepEqual([isAdopted, log.owner], [false, undefined]);
    disk.release();
    await adopting;
    assert.equal(log.owner, 'first');
    disk.letGo();
  });

  test('a flush of the owner that fails ends the log with the reason', async () => {
    const disk = heldDisk();
    const log = open({ fdatasync: disk.fdatasync });
    const refused = assert.rejects(log.adopt('first'), { code: 'EVENT_LOG_FAILED' });
    await disk.isAsked(1);
    disk.release(new Error('no more'));
    await refused;
    assert.equal(failures.length, 1);
    assert.equal(log.owner, undefined);
    await assert.rejects(log.append(event), { code: 'BROKER_NOT_READY' });
  });

  test('an owner that a full disk does not take is none, and the log goes on', async () => {
    const log = open({ pageCountMax: 16 });
    await assert.rejects(log.adopt(long), { code: 'DISK_FULL' });
    assert.deepEqual([log.owner, failures], [undefined, []]);
    await log.adopt('short');
    await log.append(event);
    assert.equal(log.owner, 'short');
  });

  test('an owner of a place that a full disk does not take is none, and may come again', async () => {
    const log = open({ pageCountMax: 16 });
    await log.subscribe('c', 'before');
    await log.append(event);
    await assert.rejects(log.subscribe('c', long), { code: 'DISK_FULL' });
    assert.deepEqual(await log.consumers(), [{ name: 'c', owner: 'before' }]);
    const subscription = await log.subscribe('c', 'after');
    assert.deepEqual(await log.consumers(), [{ name: 'c', owner: 'after' }]);
    assert.equal((await subscription.take(1)).length, 1);
  });

  test('nothing is written for an owner who comes back', async () => {
    const disk = heldDisk();
    disk.letGo();
    const log = open({ fdatasync: disk.fdatasync });
    await log.subscribe('c', 'o');
    const before = disk.asked;
    await log.subscribe('c', 'o');
    assert.equal(disk.asked, before);
    await log.subscribe('c', 'other');
    assert.equal(disk.asked, before + 1);
  });

  test('of two subscriptions of a consumer the newer one counts', async () => {
    const log = open();
    const first = await log.subscribe('c', 'o');
    let calls = 0;
    first.onReady(() => calls++);
    const second = await log.subscribe('c', 'o');
    await log.append(event);
    assert.deepEqual([calls, await first.take(1), (await second.take(1)).length], [0, [], 1]);
  });
});
