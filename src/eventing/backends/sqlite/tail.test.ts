import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StoredEvent } from './stored-event.ts';
import { Tail } from './tail.ts';

const countMax = 4096;
const bytesMax = 4 * 1024 * 1024;
const event = (offset: number, sizeBytes = 1): StoredEvent => ({
  offset,
  sizeBytes,
  arrivedAt: 0,
  event: { attributes: {} },
  headers: [],
});
const events = (from: number, until: number, sizeBytes?: number) =>
  Array.from({ length: until - from }, (_, i) => event(from + i, sizeBytes));
const offsets = (read: StoredEvent[] | undefined) => read?.map(({ offset }) => offset);

test('what is kept is read from any place on, up to the limit; what is older must be read elsewhere', () => {
  const tail = new Tail();
  assert.equal(tail.read(1, 10), undefined);
  tail.push(events(5, 8));
  tail.push(events(8, 10));
  assert.equal(tail.read(4, 10), undefined);
  assert.deepEqual(offsets(tail.read(5, 2)), [5, 6]);
  assert.deepEqual(offsets(tail.read(7, 10)), [7, 8, 9]);
  assert.deepEqual(offsets(tail.read(10, 10)), []);
});

test('the newest 4,096 events are kept', () => {
  const tail = new Tail();
  tail.push(events(1, countMax + 1));
  assert.equal(tail.read(1, 9999)?.length, countMax);
  tail.push(events(countMax + 1, countMax + 3));
  assert.equal(tail.read(2, 1), undefined);
  assert.equal(tail.read(3, 9999)?.length, countMax);
});

test('the newest 4 MiB are kept, also after events were forgotten', () => {
  const tail = new Tail();
  const quarter = bytesMax / 4;
  tail.push(events(1, 5, quarter));
  assert.deepEqual(offsets(tail.read(1, 10)), [1, 2, 3, 4]);
  tail.push([event(5, 1)]);
  assert.equal(tail.read(1, 1), undefined);
  assert.deepEqual(offsets(tail.read(2, 10)), [2, 3, 4, 5]);
  tail.dropBefore(5);
  tail.push([...events(6, 9, quarter), event(9, quarter - 1)]);
  assert.deepEqual(offsets(tail.read(5, 10)), [5, 6, 7, 8, 9]);
  tail.push([event(10, bytesMax)]);
  assert.deepEqual(offsets(tail.read(10, 10)), [10]);
  tail.push([event(11, bytesMax + 1)]);
  assert.equal(tail.read(11, 10), undefined);
});

test('what is before an offset is forgotten, however far that is', () => {
  const tail = new Tail();
  tail.dropBefore(3);
  tail.push(events(5, 10));
  for (const offset of [4, 5]) tail.dropBefore(offset);
  assert.deepEqual(offsets(tail.read(5, 10)), [5, 6, 7, 8, 9]);
  tail.dropBefore(7);
  assert.equal(tail.read(6, 10), undefined);
  assert.deepEqual(offsets(tail.read(7, 10)), [7, 8, 9]);
  tail.dropBefore(99);
  assert.equal(tail.read(9, 10), undefined);
});
