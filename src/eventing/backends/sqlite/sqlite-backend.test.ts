import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { systemClock } from '../../../lib/clock.ts';
import { silentLogger } from '../../../observe/log.ts';
import { testBackend } from '../testing/contract.ts';
import { sqliteBackend } from './sqlite-backend.ts';
import { writeOldLog } from './testing/old-log.ts';

testBackend('logs in SQLite', ({ clock, ...limits }) => {
  const dir = mkdtempSync(join(tmpdir(), 'kittiwake-logs-'));
  let crashes = 0;
  return {
    backend: sqliteBackend({ dir: join(dir, 'logs'), clock, limits }),
    afterCrash() {
      const copy = join(dir, `after-${++crashes}`);
      cpSync(join(dir, 'logs'), copy, { recursive: true });
      return sqliteBackend({ dir: copy, clock, limits });
    },
    stop: () => rmSync(dir, { recursive: true }),
  };
});

describe('the folder of logs in SQLite', () => {
  let dir = '';
  const name = { namespace: 'default', name: 'b.c' };
  const opening = { log: silentLogger, onFailure: (error: unknown) => assert.fail(String(error)) };
  const backend = () => sqliteBackend({ dir, clock: systemClock });

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'kittiwake-logs-'));
  });

  afterEach(() => rmSync(dir, { recursive: true }));

  test('a log of the first format is taken over, with its owner, its events and its places', async () => {
    writeOldLog(join(dir, 'default.b.c.uid-of-b.db'), ['trigger/uid-of-trigger']);
    assert.deepEqual(await backend().list(), [name]);
    for (let i = 0; i < 2; i++) {
      const log = await backend().open(name, opening);
      assert.equal(log.owner, 'uid-of-b');
      assert.deepEqual(await log.consumers(), [{ name: 'default/trigger', owner: 'uid-of-trigger' }]);
      const subscription = await log.subscribe('default/trigger', 'uid-of-trigger');
      const taken = await subscription.take(10);
      assert.deepEqual([taken.length, taken[0]?.event.attributes.id], [1, '1']);
      await log.close();
      assert.deepEqual(readdirSync(dir), ['default']);
      assert.deepEqual(await backend().list(), [name]);
    }
  });

  test('of a trigger that was made again, the place that was written last is taken over', async () => {
    writeOldLog(join(dir, 'default.b.c.uid-of-b.db'), ['trigger/first', 'trigger/second']);
    const log = await backend().open(name, opening);
    assert.deepEqual(await log.consumers(), [{ name: 'default/trigger', owner: 'second' }]);
    assert.equal((await log.subscribe('default/trigger', 'second')).position, 8);
    await log.close();
  });

  test('a log that is there already is not replaced by one of the first format', async () => {
    const before = await backend().open(name, opening);
    await before.adopt('first');
    await before.close();
    writeOldLog(join(dir, 'default.b.c.uid-of-b.db'), []);
    const log = await backend().open(name, opening);
    assert.equal(log.owner, 'first');
    await log.close();
  });

  test('a taking over that was interrupted is done again', async () => {
    writeOldLog(join(dir, 'default.b.c.uid-of-b.db'), ['trigger/uid-of-trigger']);
    mkdirSync(join(dir, 'kept'));
    const log = await backend().open(name, opening);
    await log.close();
    // As it is once the owner is written and before the file is moved.
    cpSync(join(dir, 'default', 'b.c.db'), join(dir, 'default.b.c.uid-of-b.db'));
    rmSync(join(dir, 'default'), { recursive: true });
    const again = await backend().open(name, opening);
    assert.equal(again.owner, 'uid-of-b');
    assert.deepEqual(await again.consumers(), [{ name: 'default/trigger', owner: 'uid-of-trigger' }]);
    await again.close();
  });

  test('a log of the first format that is damaged stays where it is, and says so', async () => {
    const path = join(dir, 'default.b.c.uid.db');
    writeFileSync(path, 'no database'.repeat(100));
    for (let i = 0; i < 2; i++) {
      await assert.rejects(backend().open(name, opening), { code: 'EVENT_LOG_FAILED', message: /b\.c\.uid\.db/ });
    }
    assert.ok(existsSync(path));
  });

  test('of several logs of the first format the newest is taken over; removing takes them all', async () => {
    writeOldLog(join(dir, 'default.b.c.a.db'), [], 'old');
    writeOldLog(join(dir, 'default.b.c.b.db'), [], 'new');
    utimesSync(join(dir, 'default.b.c.a.db'), 1, 1);
    const log = await backend().open(name, opening);
    assert.equal(log.owner, 'b');
    await log.close();
    await backend().remove(name);
    assert.deepEqual([await backend().list(), readdirSync(dir)], [[], []]);
  });

  test('a log of the first format is that of its namespace and name alone', async () => {
    for (const other of ['default.b', 'other.b.c', 'default.b.c.d']) writeOldLog(join(dir, `${other}.uid.db`), []);
    const log = await backend().open(name, opening);
    assert.equal(log.owner, undefined);
    await log.close();
    await backend().remove(name);
    assert.equal((await backend().list()).length, 3);
  });

  test('what is no log is not listed, and what is left of one is', async () => {
    mkdirSync(join(dir, 'default'));
    for (const file of ['notes.txt', 'uid.db', 'default/notes.txt', 'default/.db']) writeFileSync(join(dir, file), '');
    assert.deepEqual(await backend().list(), []);
    writeFileSync(join(dir, 'default', 'b.c.db-wal'), '');
    assert.deepEqual(await backend().list(), [name]);
    await backend().remove(name);
    assert.deepEqual(await backend().list(), []);
  });

  test('a name that is no name of Kubernetes leads nowhere else', async () => {
    const strange = { namespace: '..', name: '../b' };
    const log = await backend().open(strange, opening);
    await log.close();
    assert.deepEqual(await backend().list(), [strange]);
    assert.equal(readdirSync(dir).length, 1);
  });
});
