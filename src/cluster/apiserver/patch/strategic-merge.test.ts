import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { array, map, mapList, object, type Schema, string } from '../../../api/schema.ts';
import type { JsonObject } from '../../../lib/json-object.ts';
import { applyStrategicMergePatch } from './strategic-merge.ts';

const schema = object({
  map: object({ a: string(), b: string() }),
  items: mapList(object({ name: string(), value: string(), list: array(string()) }), ['name']),
  set: array(string(), { 'x-kubernetes-patch-strategy': 'merge' }),
  atomic: array(string()),
  objects: array(object({ name: string() })),
  sets: map(array(string(), { 'x-kubernetes-patch-strategy': 'merge' })),
});

const examples: [rule: string, target: JsonObject, patch: JsonObject, result: JsonObject][] = [
  [
    'merges objects, and null deletes',
    { map: { a: '1', b: '2' } },
    { map: { a: null, c: '3' } },
    { map: { b: '2', c: '3' } },
  ],
  ['replaces lists that have no strategy', { atomic: ['a'] }, { atomic: ['b'] }, { atomic: ['b'] }],
  [
    'merges lists by their key',
    { items: [{ name: 'a', value: '1', list: ['x'] }, { name: 'b' }] },
    { items: [{ name: 'a', value: '2' }, { name: 'c' }] },
    { items: [{ name: 'a', value: '2', list: ['x'] }, { name: 'b' }, { name: 'c' }] },
  ],
  [
    'deletes an item by $patch: delete',
    { items: [{ name: 'a' }, { name: 'b' }] },
    { items: [{ $patch: 'delete', name: 'a' }] },
    { items: [{ name: 'b' }] },
  ],
  [
    'replaces a list that has $patch: replace',
    { items: [{ name: 'a' }, { name: 'b' }] },
    { items: [{ name: 'c' }, { $patch: 'replace' }] },
    { items: [{ name: 'c' }] },
  ],
  [
    'replaces an object by $patch: replace',
    { map: { a: '1' } },
    { map: { b: '2', $patch: 'replace' } },
    { map: { b: '2' } },
  ],
  [
    'deletes an object by $patch: delete',
    { map: { a: '1' }, atomic: [] },
    { map: { $patch: 'delete' } },
    { atomic: [] },
  ],
  ['adds to lists of primitives', { set: ['a', 'b'] }, { set: ['b', 'c'] }, { set: ['a', 'b', 'c'] }],
  [
    'takes from lists of primitives',
    { set: ['a', 'b', 'c'] },
    { '$deleteFromPrimitiveList/set': ['a', 'c'], set: ['d'] },
    { set: ['b', 'd'] },
  ],
  [
    'orders items as $setElementOrder says, the others behind what they followed',
    { items: [{ name: 'a' }, { name: 'x' }, { name: 'b' }, { name: 'c' }] },
    { '$setElementOrder/items': [{ name: 'c' }, { name: 'a' }, { name: 'b' }], items: [{ name: 'c', value: '1' }] },
    { items: [{ name: 'c', value: '1' }, { name: 'a' }, { name: 'x' }, { name: 'b' }] },
  ],
  [
    'orders primitives',
    { set: ['a', 'b', 'c'] },
    { '$setElementOrder/set': ['c', 'b', 'a'] },
    { set: ['c', 'b', 'a'] },
  ],
  [
    'keeps only $retainKeys',
    { map: { a: '1', b: '2' } },
    { map: { $retainKeys: ['b', 'c'], c: '3' } },
    { map: { b: '2', c: '3' } },
  ],
  [
    'leaves what is undefined as it is',
    { map: { a: '1' }, set: ['a'] },
    { map: { a: undefined }, set: undefined },
    { map: { a: '1' }, set: ['a'] },
  ],
  ['deletes everything by $patch: delete at the top', { map: { a: '1' } }, { $patch: 'delete' }, {}],
  ['takes what is no object for an empty one', { map: ['a'] }, { map: { b: '2' } }, { map: { b: '2' } }],
  [
    'merges what no schema tells of',
    { new: { a: { b: 1 } } },
    { new: { a: { c: 2 } } },
    { new: { a: { b: 1, c: 2 } } },
  ],
  [
    'merges the values of a map by their schema',
    { sets: { a: ['x'] } },
    { sets: { a: ['y'] } },
    { sets: { a: ['x', 'y'] } },
  ],
  ['adds a primitive once', { set: ['a'] }, { set: ['b', 'b'] }, { set: ['a', 'b'] }],
  ['takes from a list that is not there', {}, { '$deleteFromPrimitiveList/set': ['a'] }, {}],
  ['orders a list that is not there', {}, { '$setElementOrder/set': ['a'] }, {}],
  [
    'merges into the first of several items with one key',
    { items: [{ name: 'a' }, { name: 'b' }, { name: 'a' }] },
    { items: [{ name: 'a', value: '1' }] },
    { items: [{ name: 'a', value: '1' }, { name: 'b' }, { name: 'a' }] },
  ],
  [
    'deletes all of several items with one key',
    { items: [{ name: 'a' }, { name: 'b' }, { name: 'a' }] },
    { items: [{ name: 'a', $patch: 'delete' }] },
    { items: [{ name: 'b' }] },
  ],
  [
    'adds an item that it has deleted at the end',
    { items: [{ name: 'a', value: '1' }, { name: 'b' }] },
    { items: [{ name: 'a', $patch: 'delete' }, { name: 'a' }] },
    { items: [{ name: 'b' }, { name: 'a' }] },
  ],
  [
    'merges two items of its own that have one key',
    { items: [] },
    {
      items: [
        { name: 'a', value: '1' },
        { name: 'a', list: ['x'] },
      ],
    },
    { items: [{ name: 'a', value: '1', list: ['x'] }] },
  ],
  [
    'leaves items that are no objects where they are',
    { items: [null, { name: 'a' }, { name: 'b' }] },
    { '$setElementOrder/items': [{ name: 'b' }, { name: 'a' }], items: [{ name: 'b', value: '1' }] },
    { items: [null, { name: 'b', value: '1' }, { name: 'a' }] },
  ],
  [
    'orders objects that have no merge key by all that they hold',
    { objects: [{ name: 'a' }, { name: 'b' }] },
    { '$setElementOrder/objects': [{ name: 'b' }, { name: 'a' }] },
    { objects: [{ name: 'b' }, { name: 'a' }] },
  ],
  [
    'leaves neither directives nor nulls in what replaces',
    {},
    {
      map: {
        $patch: 'replace',
        a: null,
        b: undefined,
        deep: [{ $patch: 'replace' }, [{ $patch: 'replace' }], { name: 'a', $patch: 'merge' }],
      },
    },
    { map: { deep: [[], { name: 'a' }] } },
  ],
  [
    'leaves no directives in what is new',
    {},
    { items: [{ name: 'a', list: ['x'] }], map: { $retainKeys: ['a'], a: '1' } },
    {
      items: [{ name: 'a', list: ['x'] }],
      map: { a: '1' },
    },
  ],
];

for (const [rule, target, patch, result] of examples) {
  test(`a strategic merge patch ${rule}`, () => {
    const before = structuredClone([target, patch]);
    assert.deepEqual(applyStrategicMergePatch(target, patch, schema), result);
    assert.deepEqual([target, patch], before);
  });
}

test('a strategic merge patch of what is no object makes one', () => {
  assert.deepEqual(applyStrategicMergePatch(['a'], { set: ['b'] }, schema), { set: ['b'] });
});

test('an error shows 256 characters of what it is about', () => {
  const item = { value: 'x'.repeat(300) };
  assert.throws(() => applyStrategicMergePatch({}, { items: [item] }, schema), {
    code: 400,
    message: `map: {"value":"${'x'.repeat(246)} does not contain declared merge key: name`,
  });
});

const nonsense: [why: string, patch: JsonObject, message: RegExp][] = [
  ['an unknown directive', { map: { $patch: 'explode' } }, /unknown patch directive \$patch: "explode"/],
  ['an item without its merge key', { items: [{ value: 'x' }] }, /does not contain declared merge key: name/],
  ['an item that is no object', { items: ['x'] }, /merges by "name" has an item that is no object/],
  ['$retainKeys that are no list', { map: { $retainKeys: 'a' } }, /\$retainKeys must be a list/],
  ['an order that is no list', { '$setElementOrder/set': 'a' }, /\$setElementOrder\/set must be a list/],
  ['primitives that are no list', { '$deleteFromPrimitiveList/set': 'a' }, /\$delete\S+\/set must be a list/],
];

for (const [why, patch, message] of nonsense) {
  test(`a strategic merge patch with ${why} is refused`, () => {
    assert.throws(() => applyStrategicMergePatch({ items: [], map: {} }, patch, schema), { code: 400, message });
  });
}

test('applied twice, a patch without directives does what it does once', () => {
  const item = fc.record({ name: fc.constantFrom('a', 'b', 'c'), value: fc.string() });
  const items = fc.uniqueArray(item, { selector: (i) => i.name });
  const value = fc.record({ items, set: fc.uniqueArray(fc.string({ maxLength: 2 })) }, { requiredKeys: [] });
  fc.assert(
    fc.property(value, value, (target, patch) => {
      const once = applyStrategicMergePatch(target, patch, schema);
      assert.deepEqual(applyStrategicMergePatch(once, patch, schema), once);
    }),
  );
});

test('long lists merge in a time that grows with their length', () => {
  const count = 60_000;
  const schema: Schema = object({
    set: array(string(), { 'x-kubernetes-patch-strategy': 'merge' }),
    map: array(object({ name: string() }), {
      'x-kubernetes-patch-strategy': 'merge',
      'x-kubernetes-patch-merge-key': 'name',
    }),
  });
  const names = Array.from({ length: count }, (_, i) => `n${i}`);
  const target = { set: names, map: names.map((name) => ({ name })) };
  const more = names.map((name) => `${name}x`);
  const merged = applyStrategicMergePatch(
    target,
    {
      set: more,
      map: more.map((name) => ({ name })),
      '$setElementOrder/map': [{ name: 'n0' }],
      '$deleteFromPrimitiveList/set': names,
    },
    schema,
  ) as { set: string[]; map: object[] };
  assert.deepEqual(merged.set, more);
  assert.equal(merged.map.length, 2 * count);
});
