import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isJsonObject } from '../../../lib/json-object.ts';
import { applyMergePatch } from './merge-patch.ts';

/** RFC 7386, appendix A. */
const examples: [target: unknown, patch: unknown, result: unknown][] = [
  [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
  [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
  [{ a: 'b' }, { a: null }, {}],
  [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
  [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
  [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
  [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
  [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
  [
    ['a', 'b'],
    ['c', 'd'],
    ['c', 'd'],
  ],
  [{ a: 'b' }, ['c'], ['c']],
  [{ a: 'foo' }, null, null],
  [{ a: 'foo' }, 'bar', 'bar'],
  [{ e: null }, { a: 1 }, { e: null, a: 1 }],
  [[1, 2], { a: 'b', c: null }, { a: 'b' }],
  [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
];

for (const [target, patch, result] of examples) {
  test(`${JSON.stringify(patch)} turns ${JSON.stringify(target)} into ${JSON.stringify(result)}`, () => {
    assert.deepEqual(applyMergePatch(target, patch), result);
  });
}

test('a field that a merge patch leaves undefined stays as it is', () => {
  assert.deepEqual(applyMergePatch({ a: 1 }, { a: undefined, b: undefined }), { a: 1 });
});

const json = fc.jsonValue({ maxDepth: 4 });

test('applied twice, a merge patch does what it does once', () => {
  fc.assert(
    fc.property(json, json, (target, patch) => {
      const once = applyMergePatch(target, patch);
      assert.deepEqual(applyMergePatch(once, patch), once);
    }),
  );
});

test('a merge patch changes neither target nor patch', () => {
  fc.assert(
    fc.property(json, json, (target, patch) => {
      const before = JSON.stringify([target, patch]);
      applyMergePatch(target, patch);
      assert.equal(JSON.stringify([target, patch]), before);
    }),
  );
});

test('the difference of two objects without nulls leads from one to the other', () => {
  const withoutNulls = json.map((value) => JSON.parse(JSON.stringify(value).replaceAll('null', '0')) as unknown);
  fc.assert(
    fc.property(withoutNulls, withoutNulls, (from, to) => {
      assert.deepEqual(applyMergePatch(from, difference(from, to)), to);
    }),
  );
});

function difference(from: unknown, to: unknown): unknown {
  if (!isJsonObject(from) || !isJsonObject(to)) return to;
  const patch: Record<string, unknown> = {};
  for (const key of Object.keys(from)) if (!Object.hasOwn(to, key)) define(patch, key, null);
  for (const key of Object.keys(to)) {
    define(patch, key, Object.hasOwn(from, key) ? difference(from[key], to[key]) : to[key]);
  }
  return patch;
}

function define(object: object, key: string, value: unknown): void {
  Object.defineProperty(object, key, { value, enumerable: true, writable: true, configurable: true });
}
