import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { jsonIdentity, sameJson } from './same-json.ts';

test('a value is the same as its JSON copy, whatever the order of keys', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
      const copy: unknown = JSON.parse(JSON.stringify(value), (_key, inner: unknown) =>
        typeof inner === 'object' && inner !== null && !Array.isArray(inner)
          ? Object.fromEntries(Object.entries(inner).reverse())
          : inner,
      );
      // JSON has no negative zero; `===` holds it equal to zero, so no case of its own is needed.
      assert.equal(sameJson(value, copy), true);
    }),
  );
});

test('an undefined field is an absent one; null is not', () => {
  assert.equal(sameJson({ a: 1, b: undefined }, { a: 1 }), true);
  assert.equal(sameJson({ a: 1 }, { a: 1, b: undefined }), true);
  assert.equal(sameJson({ a: 1 }, { a: 1, b: null }), false);
});

test('different values differ', () => {
  const pairs: [unknown, unknown][] = [
    [
      [1, 2],
      [2, 1],
    ],
    [[], {}],
    [{ a: [] }, { a: {} }],
    [1, '1'],
    [null, {}],
    [{ a: 1 }, { a: 1, b: 2 }],
    [{}, { constructor: 1 }],
    [{}, JSON.parse('{"__proto__": {}}')],
    [{ toString: 'a' }, { valueOf: 'a' }],
  ];
  for (const [a, b] of pairs) assert.equal(sameJson(a, b) || sameJson(b, a), false, JSON.stringify([a, b]));
});

test('two values have one identity exactly when they are the same', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 2 }), fc.jsonValue({ maxDepth: 2 }), (a, b) => {
      assert.equal(jsonIdentity(a) === jsonIdentity(b), sameJson(a, b));
    }),
  );
  assert.equal(jsonIdentity({ a: 1, b: [{ c: 2, d: 3 }] }), jsonIdentity({ b: [{ d: 3, c: 2 }], a: 1 }));
  assert.equal(jsonIdentity({ a: undefined, b: 1 }), jsonIdentity({ b: 1 }));
  assert.equal(jsonIdentity(-0), jsonIdentity(0));
});
