import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { getHeapStatistics } from 'node:v8';
import type { KubeObject } from '../../api/meta.ts';
import { VirtualClock } from '../../lib/virtual-clock.ts';
import { StoredObject } from './stored-object.ts';
import { configMap, isCode, open, opened, rowOf } from './testing/scripted-writer.ts';

describe('what waits for the disk', () => {
  it('takes 10000 writes that wait, and refuses the next', async () => {
    const { store, writer } = await open();
    const table = store.table('/a');
    const put = (at: number) => store.put(table, `k${at}`, configMap('k'));
    for (let at = 0; at < 10_000; at++) put(at);
    assert.throws(() => put(10_000), isCode('STORE_BUSY'));
    assert.throws(() => store.remove(table, 'k0'), isCode('STORE_BUSY'));
    await writer.commitAll();
    put(10_000);
  });

  it('takes 64 MiB of writes that wait, each up to 4 MiB, whatever was removed before', async () => {
    const { store, writer } = await open();
    const table = store.table('/a');
    const sized = (name: string, bytes: number) => {
      const empty = JSON.stringify({ ...configMap(name), metadata: { name, resourceVersion: '10' } }).length;
      return configMap(name, 'x'.repeat(bytes - empty));
    };
    for (let revision = 1; revision < 9; revision++) store.put(table, 'x', configMap('x'));
    store.remove(table, 'x');
    await writer.commitAll();
    const largest = 4 * 1024 * 1024;
    const more = () => store.put(table, 'more', configMap('more'));
    for (let at = 10; at < 26; at++) store.put(table, `k${at}`, sized(`k${at}`, largest));
    assert.throws(more, isCode('STORE_BUSY'));
    await undefined;
    assert.throws(more, isCode('STORE_BUSY'));
    await writer.commitAll();
    more();
    assert.throws(() => store.put(table, 'huge', sized('huge', largest + 1)), isCode('OBJECT_TOO_LARGE'));
  });
});

describe('a store that is full', () => {
  const deletionTimestamp = '2026-01-01T00:00:00Z';
  const weightOf = (text: string) =>
    new StoredObject({ ...configMap('a', text), metadata: { name: 'a', resourceVersion: '1' } } as KubeObject, 1)
      .weight;
  const max = 20_000;
  const reserve = 1.25 * max;

  /** A store that holds `a` of so many bytes, and a smaller one, `b`. */
  async function holding(bytes: number, b = 0) {
    const rows = [rowOf(1, '/t', 'a', 1), rowOf(2, '/t', 'b', 2)];
    const found = rows.slice(0, b === 0 ? 1 : 2).map((row, at) => {
      const text = 'x'.repeat((at === 0 ? bytes - b : b) - weightOf(''));
      return {
        ...row,
        json: JSON.stringify({ ...configMap(row.key, text), metadata: { name: row.key, resourceVersion: '1' } }),
      };
    });
    const { store, writer } = await open([{ type: 'rows', rows: found }, opened], { heldBytesMax: max });
    const put = (key: string, weight: number, more: object = {}) => {
      const object = configMap(key, 'x'.repeat(weight - weightOf('')));
      return store.put(store.table('/t'), key, {
        ...object,
        metadata: { ...object.metadata, ...more },
      } as KubeObject);
    };
    return { store, writer, put };
  }
  const full = isCode('STORE_FULL');

  it('takes new objects up to its bound, and none from there', async () => {
    const { put, writer } = await holding(max - 1);
    put('b', 1000);
    await writer.commitAll();
    assert.throws(() => put('c', 1000), full);
    await assert.rejects(async () => (await holding(max)).put('b', 1000), full);
  });

  it('holds exactly what is there, whatever came and went', async () => {
    const { store, writer, put } = await holding(max - 1000);
    const table = store.table('/t');
    put('b', 999);
    await writer.commitAll();
    store.remove(table, 'b');
    await writer.commitAll();
    put('b', 999);
    await writer.commitAll();
    put('c', 1000); // One byte of room was left.
    store.remove(table, 'c');
    put('b', 1000);
    await writer.commitAll();
    assert.throws(() => put('c', 1000), full);
  });

  it('lets what is there grow up to a reserve, and not beyond', async () => {
    const { put } = await holding(reserve - 1, 1000);
    put('b', 5000);
    const over = await holding(reserve, 1000);
    assert.throws(() => over.put('b', 1001), full);
    over.put('b', 1000);
    over.put('b', 900);
  });

  it('lets an object be marked as deleted always, and what is marked not grow', async () => {
    const { put } = await holding(reserve, 1000);
    const growth =
      new StoredObject(
        { ...configMap('b'), metadata: { name: 'b', resourceVersion: '3', deletionTimestamp } } as KubeObject,
        3,
      ).weight - weightOf('');
    assert.throws(() => put('b', 1000 + 1025 - growth, { deletionTimestamp }), full);
    put('b', 1000 + 1024 - growth, { deletionTimestamp });
    assert.throws(() => put('b', 1000 + 1025 - growth, { deletionTimestamp }), full);
  });

  it('takes new objects again when others have gone or shrunk', async () => {
    const { store, writer, put } = await holding(max + 500, 1000);
    assert.throws(() => put('c', 1000), full);
    store.remove(store.table('/t'), 'b');
    await writer.commitAll();
    put('c', 1000);
    await writer.commitAll();
    assert.throws(() => put('d', 1000), full);
    put('a', 1000);
    await writer.commitAll();
    put('d', 1000);
  });

  it('has a bound of a quarter of what the process may have, unless it is told another', async () => {
    const { store } = await open();
    assert.equal(store.heldBytesMax, Math.floor(getHeapStatistics().heap_size_limit / 4));
  });
});

describe('what a store remembers', () => {
  it('is 64 MiB of events in all, those of the heaviest table forgotten first, one by one', async () => {
    const { store, writer } = await open();
    const [small, large] = [store.table('/small'), store.table('/large')];
    store.table('/empty');
    const put = async (table: typeof large, length: number) => {
      store.put(table, 'a', configMap('a', 'x'.repeat(length)));
      await writer.commitAll();
    };
    await put(small, 0);
    for (let at = 0; at < 8; at++) await put(small, 0); // Revisions of one digit up to here.
    const empty = await (async () => {
      const before = small.weight;
      await put(small, 0);
      return small.weight - before;
    })();
    const max = 64 * 1024 * 1024;
    const event = Math.floor((4_000_000 - empty) / 3) * 3 + empty; // An event weighs three times its text, and more.
    for (let at = 0; at < 15; at++) await put(large, (event - empty) / 3);
    let left = max - large.weight - small.weight;
    while ((left - empty) % 3 !== 0) {
      await put(small, 0);
      left -= empty;
    }
    await put(large, (left - empty) / 3);
    assert.equal(large.weight + small.weight, max);
    const first = 10;
    await put(small, 0);
    assert.equal(large.eventsAfter(first)?.length, 16, 'just enough room');
    await put(small, 0);
    assert.ok(large.eventsAfter(first) === undefined);
    assert.equal(large.eventsAfter(first + 1)?.length, 15);
    assert.ok(small.eventsAfter(0));
  });

  it('loses as many of the oldest events as larger ones need', async () => {
    const { store, writer } = await open();
    const table = store.table('/a');
    const weights: number[] = [];
    const lengths = [...new Array(18).fill(1_300_000), 2_600_000, 2_600_000, 0, 0];
    for (const [at, length] of lengths.entries()) {
      store.put(table, 'a', configMap('a', 'x'.repeat(length)));
      await writer.commitAll();
      while (weights.reduce((sum, weight) => sum + weight, 0) > 64 * 1024 * 1024) weights.shift();
      weights.push(table.eventsAfter(at)?.[0]?.weight ?? 0);
      assert.equal(
        table.weight,
        weights.reduce((sum, weight) => sum + weight, 0),
      );
    }
  });

  it('is five minutes of events', async () => {
    const clock = new VirtualClock();
    const { store, writer } = await open([opened], { clock });
    const [a, b] = [store.table('/a'), store.table('/b')];
    store.put(a, 'x', configMap('x'));
    await writer.commitAll();
    await clock.advance(300_001);
    store.put(b, 'y', configMap('y'));
    await writer.commitAll();
    assert.equal(a.eventsAfter(0), undefined);
    assert.equal(b.eventsAfter(0)?.length, 1);
  });
});
