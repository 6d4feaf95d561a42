import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { KubeObject } from '../../api/meta.ts';
import { systemClock } from '../../lib/clock.ts';
import { KittiwakeError } from '../../lib/errors.ts';
import { silentLogger } from '../../observe/log.ts';
import { Metrics } from '../../observe/metrics.ts';
import { Store, type StoreOptions } from './store.ts';
import type { StoreEvent } from './table.ts';

async function tempFile(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'kittiwake-store-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return join(dir, 'store.db');
}

async function open(t: TestContext, file: string, options: Partial<StoreOptions> = {}): Promise<Store> {
  const store = await Store.open({ file, clock: systemClock, log: silentLogger, ...options });
  t.after(() => store.close());
  return store;
}

const configMap = (name: string, data: Record<string, string> = {}) =>
  ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data }) as KubeObject;

const hasCode = (code: string) => (error: unknown) => error instanceof KittiwakeError && error.code === code;

test('a write is readable and watchable only once it is on disk, and at once decides the next one', async (t) => {
  const store = await open(t, await tempFile(t));
  const table = store.table('/configmaps');
  const seen: StoreEvent[] = [];
  table.subscribe((events) => seen.push(...events));

  const { stored, durable } = store.put(table, 'a', configMap('a'));
  assert.equal(table.get('a'), undefined);
  assert.equal(store.latest(table, 'a'), stored);
  assert.equal(store.revision, 0);
  await durable;
  assert.equal(table.get('a'), stored);
  assert.equal(store.revision, stored.revision);
  assert.deepEqual(
    seen.map(({ type, key, revision }) => ({ type, key, revision })),
    [{ type: 'ADDED', key: 'a', revision: stored.revision }],
  );
});

test('objects, and the revision, are there again after a restart', async (t) => {
  const file = await tempFile(t);
  const first = await open(t, file);
  const table = first.table('/configmaps');
  await first.put(table, 'a', configMap('a', { n: '1' })).durable;
  await first.put(table, 'b', configMap('b')).durable;
  await first.remove(table, 'b').durable;
  const { revision } = first;
  await first.close();

  const second = await open(t, file);
  assert.equal(second.revision, revision);
  const again = second.table('/configmaps');
  assert.deepEqual(again.get('a')?.object, {
    ...configMap('a', { n: '1' }),
    metadata: { name: 'a', resourceVersion: '1' },
  });
  assert.equal(again.get('b'), undefined);
  assert.equal(second.put(again, 'b', configMap('b')).stored.revision, revision + 1);
});

test('writes that arrive while a commit is under way share the next one', async (t) => {
  const metrics = new Metrics('test');
  const store = await open(t, await tempFile(t), { metrics });
  const table = store.table('/configmaps');
  const first = store.put(table, 'first', configMap('first')).durable;
  await Promise.resolve(); // The first commit begins.
  const others = Array.from({ length: 500 }, (_, i) => store.put(table, `o${i}`, configMap(`o${i}`)).durable);
  await Promise.all([first, ...others]);
  const text = await metrics.text();
  assert.match(text, /kittiwake_store_writes_total\{role="test"\} 501/);
  assert.match(text, /kittiwake_store_commit_seconds_count\{role="test"\} 2/);
});

test('several writes of one object in one commit are all seen, in order', async (t) => {
  const store = await open(t, await tempFile(t));
  const table = store.table('/configmaps');
  const seen: string[] = [];
  table.subscribe((events) => seen.push(...events.map(({ type, revision }) => `${type} ${revision}`)));
  const writes = [
    store.put(table, 'a', configMap('a')).durable,
    store.put(table, 'a', configMap('a', { n: '2' })).durable,
    store.remove(table, 'a').durable,
    store.put(table, 'a', configMap('a', { n: '4' })).durable,
  ];
  await Promise.all(writes);
  assert.deepEqual(seen, ['ADDED 1', 'MODIFIED 2', 'DELETED 3', 'ADDED 4']);
});

test('a subscriber that throws is logged, and takes no event from the others', async (t) => {
  const errors: object[] = [];
  const log = { ...silentLogger, error: (fields: object) => errors.push(fields) };
  const store = await open(t, await tempFile(t), { log });
  const table = store.table('/configmaps');
  const failure = new Error('thrown by a subscriber');
  table.subscribe(() => {
    throw failure;
  });
  const seen: string[] = [];
  table.subscribe((events) => seen.push(...events.map(({ key }) => key)));
  await store.put(table, 'a', configMap('a')).durable;
  await store.put(table, 'b', configMap('b')).durable;
  assert.deepEqual(seen, ['a', 'b']);
  assert.deepEqual(errors, [
    { err: failure, table: '/configmaps' },
    { err: failure, table: '/configmaps' },
  ]);
});

test('a full disk: nothing is acknowledged, reads go on, and writes too once there is space', async (t) => {
  const file = await tempFile(t);
  const store = await open(t, file, { pagesMax: 60 });
  const table = store.table('/configmaps');
  const big = { text: 'x'.repeat(20_000) };
  const written: string[] = [];
  const error = await (async () => {
    for (let i = 0; i < 100; i++) {
      const { durable } = store.put(table, `k${i}`, configMap(`k${i}`, big));
      const outcome = await durable.then(
        () => undefined,
        (e: unknown) => e,
      );
      if (outcome) return outcome;
      written.push(`k${i}`);
    }
    return undefined;
  })();
  assert.ok(hasCode('DISK_FULL')(error), String(error));
  assert.ok(written.length > 2);
  const refused = `k${written.length}`;
  assert.equal(table.get(refused), undefined);
  assert.equal(store.latest(table, refused), undefined);
  assert.ok(table.get('k0'));

  await store.remove(table, 'k0').durable;
  await store.remove(table, 'k1').durable;
  await store.put(table, refused, configMap(refused, big)).durable;
  const { revision } = store;
  await store.close();

  const again = await open(t, file);
  assert.equal(again.revision, revision);
  const keys = again
    .table('/configmaps')
    .rows()
    .map(([key]) => key);
  assert.deepEqual(keys, [...written.slice(2), refused].sort());
});

test('what waits behind a write that fails fails with it', async (t) => {
  const store = await open(t, await tempFile(t), { pagesMax: 20 });
  const table = store.table('/configmaps');
  const failing = store.put(table, 'a', configMap('a', { text: 'x'.repeat(200_000) })).durable;
  await Promise.resolve();
  const behind = store.put(table, 'a', configMap('a', { text: 'small' })).durable;
  await assert.rejects(failing, hasCode('DISK_FULL'));
  await assert.rejects(behind, hasCode('DISK_FULL'));
  await store.put(table, 'a', configMap('a')).durable;
  assert.equal(table.get('a')?.revision, 3);
});

test('a store that another one has open is refused', async (t) => {
  const file = await tempFile(t);
  await open(t, file);
  await assert.rejects(open(t, file), hasCode('STORE_IN_USE'));
});

test('a store is opened as soon as its predecessor lets go', async (t) => {
  const file = await tempFile(t);
  const first = await open(t, file);
  const second = open(t, file);
  await first.put(first.table('t'), 'a', configMap('a')).durable;
  await first.close();
  assert.ok((await second).table('t').get('a'));
});

test('a store that a newer version wrote is refused, and left as it is', async (t) => {
  const file = await tempFile(t);
  const newer = new DatabaseSync(file);
  newer.exec('PRAGMA user_version = 99; CREATE TABLE future (x)');
  newer.close();
  await assert.rejects(open(t, file), (error: unknown) => {
    assert.ok(hasCode('STORE_TOO_NEW')(error));
    assert.match(String(error), /has format 99, this version reads up to 1/);
    return true;
  });
  const untouched = new DatabaseSync(file, { readOnly: true });
  assert.equal(untouched.prepare('SELECT count(*) AS n FROM future').get()?.n, 0);
  untouched.close();
});

test('each commit is synced: the database says so itself', async (t) => {
  const store = await open(t, await tempFile(t));
  const full = 2;
  assert.deepEqual(store.durability, { journalMode: 'wal', synchronous: full });
});

test('an object that is damaged on disk is named, and the store is not opened without it', async (t) => {
  const file = await tempFile(t);
  const first = await open(t, file);
  await first.put(first.table('/configmaps'), 'default/a', configMap('a')).durable;
  await first.close();
  const database = new DatabaseSync(file);
  database.exec(`UPDATE object SET json = '{"metadata":'`);
  database.close();
  await assert.rejects(open(t, file), (error) => {
    assert.ok(hasCode('STORE_FAILED')(error));
    assert.match(String(error), /\/configmaps default\/a is damaged/);
    return true;
  });
});

test('writes that wait are bounded in bytes, too', async (t) => {
  const store = await open(t, await tempFile(t));
  const table = store.table('/configmaps');
  const big = { text: 'x'.repeat(4_000_000) };
  const writes: Promise<void>[] = [];
  const putAll = () => {
    for (let i = 0; i < 100; i++) writes.push(store.put(table, `k${i}`, configMap(`k${i}`, big)).durable);
  };
  assert.throws(putAll, hasCode('STORE_BUSY'));
  assert.ok(writes.length < 20, `${writes.length} waited`);
  await Promise.all(writes);
  await store.put(table, 'after', configMap('after')).durable;
});

test('an object has a size that none exceeds', async (t) => {
  const store = await open(t, await tempFile(t));
  const huge = configMap('a', { text: 'x'.repeat(5_000_000) });
  assert.throws(() => store.put(store.table('/configmaps'), 'a', huge), hasCode('OBJECT_TOO_LARGE'));
});

test('the events of all tables share a bound in bytes; those of a large one go first', async (t) => {
  const store = await open(t, await tempFile(t));
  const small = store.table('/small');
  const large = store.table('/large');
  await store.put(small, 'a', configMap('a')).durable;
  const begin = store.revision;
  await store.put(small, 'a', configMap('a', { n: '2' })).durable;
  for (let i = 0; i < 60; i++) await store.put(large, 'b', configMap('b', { text: 'x'.repeat(1_000_000) })).durable;
  assert.equal(large.eventsAfter(begin), undefined);
  assert.equal(small.eventsAfter(begin)?.length, 1);
  assert.ok(large.weight + small.weight < 80 * 1024 * 1024);
  assert.ok((large.eventsAfter(store.revision - 5)?.length ?? 0) === 5, 'the newest are remembered');
});

test('a file that is no database is refused with its name', async (t) => {
  const file = await tempFile(t);
  await writeFile(file, 'this is a text, not a database, and it is longer than the header of one.'.repeat(20));
  await assert.rejects(
    open(t, file),
    (error: unknown) => hasCode('STORE_FAILED')(error) && String(error).includes(file),
  );
});

test('a process killed in a storm of writes loses nothing that it acknowledged', { timeout: 60_000 }, async (t) => {
  const file = await tempFile(t);
  let revisionBefore = 0;
  for (const acknowledgements of [40, 700, 1500]) {
    const last = await stormUntilKilled(file, acknowledgements);
    const store = await open(t, file);
    const table = store.table('/configmaps');
    const ahead = new Map<string, number>();
    for (const [name, { revision, value }] of last) {
      const stored = table.get(name);
      const isAsAcknowledged = value === 'gone' ? !stored : stored?.revision === revision;
      const isNewer = stored === undefined || stored.revision > revision;
      assert.ok(isAsAcknowledged || isNewer, `${name} is not older than revision ${revision}, which was acknowledged`);
      if (stored?.revision === revision) assert.equal((stored.object as { data?: { i: string } }).data?.i, value);
      const writer = name.split('-')[0] ?? '';
      if (!isAsAcknowledged) ahead.set(writer, (ahead.get(writer) ?? 0) + 1);
    }
    // Each writer waits for its write: at most one was on disk, but not yet acknowledged, when the kill came.
    assert.ok([...ahead.values()].every((count) => count === 1));
    const newest = Math.max(...[...last.values()].map(({ revision }) => revision));
    assert.ok(store.revision >= newest && newest > revisionBefore, 'revisions only grow');
    revisionBefore = store.revision;
    await store.close();
  }
});

/** The last acknowledged write of each object. */
async function stormUntilKilled(file: string, acknowledgements: number) {
  const script = fileURLToPath(new URL('./testing/storm.ts', import.meta.url));
  const child = spawn(process.execPath, [script, file], { stdio: ['ignore', 'pipe', 'inherit'] });
  const last = new Map<string, { revision: number; value: string }>();
  let count = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    const [name, revision, value] = line.split(' ');
    if (name === undefined || revision === undefined || value === undefined) continue; // Cut off by the kill.
    last.set(name, { revision: Number(revision), value });
    if (++count === acknowledgements) child.kill('SIGKILL');
  }
  assert.ok(count >= acknowledgements, 'the child wrote until it was killed');
  return last;
}

test('what all objects take is bounded: then nothing is added, and what is there can change or go', async (t) => {
  const file = await tempFile(t);
  const heldBytesMax = 100_000;
  const first = await open(t, file, { heldBytesMax });
  const large = { text: 'x'.repeat(10_000) };
  const put = (store: Store, name: string, data: Record<string, string>, metadata: object = {}) => {
    const object = configMap(name, data);
    return store.put(store.table('/configmaps'), name, { ...object, metadata: { ...object.metadata, ...metadata } })
      .durable;
  };
  let count = 0;
  await assert.rejects(async () => {
    for (; count < 100; count++) await put(first, `many-${count}`, large);
  }, hasCode('STORE_FULL'));
  assert.ok(count >= 9 && count <= 10, `${count} of them`);
  await put(first, 'many-0', { text: 'y'.repeat(11_000) });
  await first.close();

  const second = await open(t, file, { heldBytesMax });
  assert.throws(() => put(second, 'one-more', {}), hasCode('STORE_FULL'));
  await put(second, 'many-1', { text: 'x'.repeat(40_000) });
  assert.throws(() => put(second, 'many-2', { text: 'x'.repeat(11_000) }), hasCode('STORE_FULL'));
  await put(second, 'many-2', { text: 'x'.repeat(9_000) });
  await put(second, 'many-3', large, { deletionTimestamp: '2026-01-01T00:00:00Z', deletionGracePeriodSeconds: 0 });
  for (const name of ['many-1', 'many-2']) await second.remove(second.table('/configmaps'), name).durable;
  await put(second, 'one-more', {});
});
