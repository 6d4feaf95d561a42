import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { VirtualClock } from '../../lib/virtual-clock.ts';
import { silentLogger } from '../../observe/log.ts';
import { Metrics } from '../../observe/metrics.ts';
import type { OpenFailure } from './protocol.ts';
import { Store } from './store.ts';
import type { StoreEvent } from './table.ts';
import {
  configMap,
  isCode,
  open,
  opened,
  opening,
  outcomeOf,
  rowOf,
  type ScriptedWriter,
} from './testing/scripted-writer.ts';

describe('a store that opens', () => {
  it('has what its writer found, and goes on from there', async () => {
    const { store, writer } = await open([
      { type: 'rows', rows: [rowOf(7, '/a', 'x', 5), rowOf(3, '/b', 'y', 9)] },
      { type: 'rows', rows: [rowOf(4, '/a', 'w', 2)] },
      {
        ...opened,
        deletions: [
          { table: '/a', revision: 11 },
          { table: '/c', revision: 4 },
        ],
      },
    ]);
    const [a, b, c] = [store.table('/a'), store.table('/b'), store.table('/c')];
    assert.deepEqual([...store.tables()], [a, b, c]);
    assert.deepEqual(
      a.rows().map(([key, { revision }]) => [key, revision]),
      [
        ['w', 2],
        ['x', 5],
      ],
    );
    assert.ok(Object.isFrozen(a.get('x')?.object.metadata));
    assert.equal(store.revision, 11);
    const known = [a, b, c].map((table, at) =>
      [10, 11, 8, 9, 3, 4].slice(2 * at, 2 * at + 2).map((r) => table.eventsAfter(r)),
    );
    assert.deepEqual(known, [
      [undefined, []],
      [undefined, []],
      [undefined, []],
    ]);
    store.put(a, 'x', configMap('x'));
    store.put(a, 'new', configMap('new'));
    await undefined;
    assert.deepEqual(
      writer.changes.map(({ id, revision }) => [id, revision]),
      [
        [7, 12],
        [8, 13],
      ],
    );
    assert.deepEqual(store.durability, { journalMode: 'wal', synchronous: 2 });
  });

  it('begins at revision 1 and row 1 when there is nothing', async () => {
    const { store, writer } = await open();
    assert.deepEqual(store.put(store.table('/a'), 'x', configMap('x')).stored.revision, 1);
    await undefined;
    assert.equal(writer.changes[0]?.id, 1);
  });

  it('is at the newest revision of its objects when nothing was deleted after it', async () => {
    const { store } = await open([{ type: 'rows', rows: [rowOf(1, '/a', 'x', 6), rowOf(2, '/b', 'y', 4)] }, opened]);
    assert.equal(store.revision, 6);
  });

  const refusals: [why: OpenFailure, code: string, text: RegExp][] = [
    [{ kind: 'in-use' }, 'STORE_IN_USE', /store\.db/],
    [{ kind: 'disk-full' }, 'DISK_FULL', /store\.db/],
    [{ kind: 'too-new', found: 9, known: 1 }, 'STORE_TOO_NEW', /format 9, this version reads up to 1/],
    [{ kind: 'other', message: 'it is broken' }, 'STORE_FAILED', /it is broken/],
  ];
  for (const [why, code, text] of refusals) {
    it(`fails with ${code} when its writer says ${why.kind}`, async () => {
      const { store, writer } = opening();
      writer.say({ type: 'refused', why });
      await assert.rejects(store, (error) => isCode(code)(error) && text.test(String(error)));
    });
  }

  it('fails with its writer', async () => {
    const { store, writer } = opening();
    writer.emit('error', new Error('no thread'));
    await assert.rejects(store, /no thread/);
  });

  it('names what is damaged, and ends its writer', async () => {
    const { store, writer } = opening();
    writer.say({ type: 'rows', rows: [{ ...rowOf(1, '/a', 'ns/x', 1), json: '{' }] });
    await assert.rejects(store, /\/a ns\/x is damaged/);
    assert.equal(writer.isTerminated, true);
  });
});

describe('a store that is written to', () => {
  it('shares a commit between the writes of a turn, and the next between those that come meanwhile', async () => {
    const { store, writer } = await open();
    const table = store.table('/a');
    const seen: string[] = [];
    table.subscribe((events) => seen.push(`${events.map(({ type, key }) => `${type} ${key}`)} at ${store.revision}`));
    const first = [store.put(table, 'a', configMap('a')), store.put(table, 'b', configMap('b'))];
    assert.equal(writer.commits, 0);
    await undefined;
    const json = first[0]?.stored.json;
    assert.equal(JSON.parse(json ?? '').metadata.resourceVersion, '1');
    assert.deepEqual(writer.changes[0], { id: 1, table: '/a', key: 'a', revision: 1, json });
    store.put(table, 'c', configMap('c'));
    const removed = store.remove(table, 'a');
    await undefined;
    assert.deepEqual([writer.commits, store.revision, table.size], [1, 0, 0]);
    assert.deepEqual(await Promise.all(first.map(({ durable }) => outcomeOf(durable))), ['pending', 'pending']);
    writer.say({ type: 'committed' });
    assert.deepEqual(await Promise.all(first.map(({ durable }) => outcomeOf(durable))), ['done', 'done']);
    assert.deepEqual([writer.commits, store.revision, removed.revision], [2, 2, 4]);
    assert.deepEqual(writer.changes[1], { id: 1, table: '/a', key: 'a', revision: 4, json: undefined });
    assert.equal(await outcomeOf(removed.durable), 'pending');
    writer.say({ type: 'committed' });
    assert.equal(await outcomeOf(removed.durable), 'done');
    assert.deepEqual(seen, ['ADDED a,ADDED b at 2', 'ADDED c,DELETED a at 4']);
    assert.equal(writer.commits, 2, 'no commit of nothing');
    store.put(table, 'd', configMap('d'));
    await undefined;
    assert.equal(writer.commits, 3);
  });

  it('sends nothing more while a commit is under way', async () => {
    const { store, writer } = await open();
    const table = store.table('/a');
    store.put(table, 'a', configMap('a'));
    queueMicrotask(() => store.put(table, 'c', configMap('c')));
    store.put(table, 'b', configMap('b'));
    await outcomeOf(store.settled());
    assert.deepEqual([writer.commits, writer.changes.map(({ key }) => key)], [1, ['a', 'b']]);
  });

  it('tells each table its own events', async () => {
    const { store, writer } = await open();
    const seen: string[] = [];
    const tell = (events: readonly StoreEvent[]) => seen.push(events.map(({ key }) => key).join());
    for (const name of ['/a', '/b']) store.table(name).subscribe(tell);
    for (const [name, key] of [
      ['/a', 'x'],
      ['/b', 'y'],
      ['/a', 'z'],
    ] as const)
      store.put(store.table(name), key, configMap(key));
    await writer.commitAll();
    assert.deepEqual(seen, ['x,z', 'y']);
  });

  it('decides by what waits: the newest write, or none after a removal', async () => {
    const { store, writer } = await open();
    const table = store.table('/a');
    assert.equal(store.latest(table, 'x'), undefined);
    store.put(table, 'x', configMap('x'));
    await undefined;
    const { stored } = store.put(table, 'x', configMap('x', '2'));
    writer.say({ type: 'committed' });
    assert.equal(store.latest(table, 'x'), stored);
    assert.equal(table.get('x')?.revision, 1);
    store.remove(table, 'x');
    assert.equal(store.latest(table, 'x'), undefined);
    await writer.commitAll();
    assert.equal(store.latest(table, 'x'), undefined);
  });

  it('tells what waits in a table: of each key the newest write, not what is removed or on disk', async () => {
    const { store, writer } = await open();
    const table = store.table('/a');
    const waiting = () => [...store.waiting(table)];
    assert.deepEqual(waiting(), []);
    store.put(table, 'x', configMap('x'));
    const { stored } = store.put(table, 'x', configMap('x', '2'));
    store.put(store.table('/b'), 'y', configMap('y'));
    assert.deepEqual(waiting(), [['x', stored.object]]);
    store.remove(table, 'x');
    assert.deepEqual(waiting(), []);
    await writer.commitAll();
    store.put(table, 'z', configMap('z'));
    await writer.commitAll();
    assert.deepEqual(waiting(), []);
  });

  it('keeps the row of an object while it is there or waits, and takes a new one afterwards', async () => {
    const { store, writer } = await open();
    const table = store.table('/a');
    const ids: (number | undefined)[] = [];
    const write = async (isThere: boolean) => {
      if (isThere) store.put(table, 'x', configMap('x'));
      else store.remove(table, 'x');
      await undefined;
      ids.push(writer.changes[0]?.id);
    };
    await write(true);
    writer.say({ type: 'committed' });
    await write(true);
    writer.say({ type: 'committed' });
    await write(false);
    store.put(table, 'x', configMap('x')); // Waits while the removal is committed.
    writer.say({ type: 'committed' });
    ids.push(writer.changes[0]?.id);
    writer.say({ type: 'committed' });
    await write(false);
    writer.say({ type: 'committed' });
    await write(true);
    writer.say({ type: 'failed', isDiskFull: true, message: 'full' });
    await write(true);
    writer.say({ type: 'committed' });
    await write(true);
    writer.say({ type: 'failed', isDiskFull: true, message: 'full' });
    await write(true);
    assert.deepEqual(ids, [1, 1, 1, 1, 1, 2, 3, 3, 3]);
  });

  it('fails what is under way and what waits when a commit fails, and goes on', async () => {
    for (const [isDiskFull, code] of [
      [true, 'DISK_FULL'],
      [false, 'STORE_FAILED'],
    ] as const) {
      const { store, writer, errors } = await open();
      const table = store.table('/a');
      const committing = store.put(table, 'a', configMap('a')).durable;
      await undefined;
      const waiting = store.put(table, 'a', configMap('a')).durable;
      store.put(table, 'b', configMap('b')); // Nobody looks at this one: it ends no process.
      writer.say({ type: 'failed', isDiskFull, message: 'the words of the disk' });
      const outcomes = await Promise.all([committing, waiting].map(outcomeOf));
      assert.deepEqual(outcomes, [code, code]);
      assert.deepEqual([store.latest(table, 'a'), store.revision, writer.commits], [undefined, 0, 1]);
      assert.deepEqual(errors, [{ file: '/data/store.db', why: 'the words of the disk', writes: 3 }]);
      const next = store.put(table, 'a', configMap('a'));
      await writer.commitAll();
      assert.deepEqual([await outcomeOf(next.durable), store.revision], ['done', 4]);
    }
  });

  it('settles when all that was written so far is on disk', async () => {
    const { store, writer } = await open();
    const table = store.table('/a');
    assert.equal(await outcomeOf(store.settled()), 'done');
    store.put(table, 'a', configMap('a'));
    assert.equal(await outcomeOf(store.settled()), 'pending');
    writer.say({ type: 'failed', isDiskFull: true, message: 'full' });
    assert.equal(await outcomeOf(store.settled()), 'done', 'whoever wrote has been told');
    store.put(table, 'a', configMap('a'));
    await undefined;
    store.put(table, 'b', configMap('b'));
    const settled = store.settled();
    assert.equal(await outcomeOf(settled), 'pending');
    writer.say({ type: 'committed' });
    assert.equal(await outcomeOf(settled), 'pending');
    writer.say({ type: 'committed' });
    assert.equal(await outcomeOf(settled), 'done');
  });

  it('logs a subscriber that throws, and serves the others', async () => {
    const { store, writer, errors } = await open();
    const table = store.table('/a');
    const failure = new Error('thrown by a subscriber');
    let seen = 0;
    table.subscribe(() => {
      throw failure;
    });
    table.subscribe(() => seen++);
    store.put(table, 'a', configMap('a'));
    await writer.commitAll();
    assert.deepEqual([errors, seen], [[{ err: failure, table: '/a' }], 1]);
  });

  it('measures its commits', async () => {
    const metrics = new Metrics('test');
    const clock = new VirtualClock();
    const { store, writer } = await open([opened], { metrics, clock });
    store.put(store.table('/a'), 'a', configMap('a'));
    store.put(store.table('/a'), 'b', configMap('b'));
    await undefined;
    await clock.advance(250);
    writer.say({ type: 'committed' });
    const text = await metrics.text();
    assert.match(text, /kittiwake_store_writes_total\{role="test"\} 2\n/);
    assert.match(text, /kittiwake_store_commit_seconds_sum\{role="test"\} 0.25\n/);
    assert.match(text, /kittiwake_store_commit_seconds_count\{role="test"\} 1\n/);
  });
});

describe('a store that ends', () => {
  it('waits for the only write that is under way', async () => {
    const { store, writer } = await open();
    store.put(store.table('/a'), 'a', configMap('a'));
    const closed = store.close();
    assert.deepEqual([await outcomeOf(closed), writer.sent.map(({ type }) => type)], ['pending', ['commit']]);
    writer.say({ type: 'committed' });
    assert.equal(await outcomeOf(closed), 'done');
  });

  it('waits for what is under way, and refuses what comes then', async () => {
    const { store, writer, errors } = await open();
    const table = store.table('/a');
    const first = store.put(table, 'a', configMap('a')).durable;
    await undefined;
    const failing = store.put(table, 'b', configMap('b')).durable;
    const closed = store.close();
    assert.equal(await outcomeOf(closed), 'pending');
    writer.say({ type: 'committed' });
    assert.deepEqual([await outcomeOf(first), await outcomeOf(closed)], ['done', 'pending']);
    writer.say({ type: 'failed', isDiskFull: true, message: 'full' });
    assert.deepEqual([await outcomeOf(failing), await outcomeOf(closed)], ['DISK_FULL', 'done']);
    assert.deepEqual([writer.sent.at(-1)?.type, writer.isTerminated], ['close', true]);
    assert.throws(() => store.put(table, 'c', configMap('c')), /the store is closed/);
    const count = errors.length;
    writer.emit('exit', 0);
    assert.equal(errors.length, count, 'an end that was asked for is no failure');
    assert.throws(() => store.put(table, 'c', configMap('c')), /the store is closed/);
    await store.close();
    assert.equal(writer.sent.filter(({ type }) => type === 'close').length, 1);
  });

  for (const end of ['error', 'exit']) {
    it(`waits no longer for a writer whose ${end} comes while it closes`, async () => {
      const { store, writer, errors } = await open();
      writer.close = () => writer.emit(end, new Error('out of memory'));
      assert.deepEqual([await outcomeOf(store.close()), errors], ['done', []]);
    });
  }

  for (const [how, end, text] of [
    ['fails', (writer: ScriptedWriter) => writer.emit('error', new Error('out of memory')), /out of memory/],
    ['exits', (writer: ScriptedWriter) => writer.emit('exit', 1), /writer ended with code 1/],
  ] as const) {
    it(`fails all writes, at once and from then on, when its writer ${how}`, async () => {
      const { store, writer, errors } = await open();
      const table = store.table('/a');
      const { durable } = store.put(table, 'a', configMap('a'));
      end(writer);
      assert.equal(await outcomeOf(durable), 'STORE_FAILED');
      await assert.rejects(durable, text);
      assert.throws(
        () => store.put(table, 'b', configMap('b')),
        (error) => isCode('STORE_FAILED')(error) && text.test(String(error)),
      );
      assert.equal(errors.length, 1);
      assert.equal(writer.commits, 0);
      writer.emit('exit', 1);
      assert.equal(errors.length, 1);
      await store.close();
    });
  }
});

describe('a store without a writer of its own', () => {
  it('has a thread that writes to its file', async (t) => {
    const dir = mkdtempSync(join(tmpdir(), 'kittiwake-commits-'));
    t.after(() => rmSync(dir, { recursive: true, force: true }));
    const options = { file: join(dir, 'store.db'), clock: new VirtualClock(), log: silentLogger };
    const store = await Store.open(options);
    await store.put(store.table('/a'), 'x', configMap('x')).durable;
    await store.close();
    const again = await Store.open(options);
    assert.equal(again.table('/a').get('x')?.revision, 1);
    await again.close();
  });
});
