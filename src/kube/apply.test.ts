import assert from 'node:assert/strict';
import { test } from 'node:test';
import { threeWayMergePatch } from './apply.ts';

const cases: { name: string; last: unknown; desired: unknown; live: unknown; patch: unknown }[] = [
  {
    name: 'what is the same needs no patch',
    last: { a: 1 },
    desired: { a: 1 },
    live: { a: 1, b: 2 },
    patch: undefined,
  },
  { name: 'a changed field is set', last: { a: 1 }, desired: { a: 2 }, live: { a: 1 }, patch: { a: 2 } },
  { name: 'a field that drifted is set back', last: { a: 1 }, desired: { a: 1 }, live: { a: 5 }, patch: { a: 1 } },
  {
    name: 'a field no longer wanted is removed',
    last: { a: 1, b: 1 },
    desired: { a: 1 },
    live: { a: 1, b: 1 },
    patch: { b: null },
  },
  {
    name: 'a field of somebody else stays',
    last: { a: 1 },
    desired: { a: 1 },
    live: { a: 1, theirs: 1 },
    patch: undefined,
  },
  {
    name: 'a field no longer wanted is removed, though objects of JavaScript inherit its name',
    last: { toString: 'a', constructor: 'b' },
    desired: { valueOf: 'c' },
    live: { toString: 'a', constructor: 'b' },
    patch: { toString: null, constructor: null, valueOf: 'c' },
  },
  { name: 'a field removed on both sides needs no patch', last: { b: 1 }, desired: {}, live: {}, patch: undefined },
  {
    name: 'nested maps are merged, lists are replaced',
    last: { s: { env: [1], x: 1 } },
    desired: { s: { env: [1, 2] } },
    live: { s: { env: [1], x: 1, y: 1 } },
    patch: { s: { env: [1, 2], x: null } },
  },
  {
    name: 'the order of keys within a list is nothing',
    last: { env: [] },
    desired: { env: [{ name: 'A', value: '1' }] },
    live: { env: [{ value: '1', name: 'A' }] },
    patch: undefined,
  },
];

for (const { name, last, desired, live, patch } of cases) {
  test(`three-way merge: ${name}`, () => assert.deepEqual(threeWayMergePatch(last, desired, live), patch));
}
