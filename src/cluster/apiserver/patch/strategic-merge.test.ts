import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DeploymentKind } from '../../../api/apps/deployment.ts';
import { PodKind } from '../../../api/core/pod.ts';
import { array, mapList, object, type Schema, string } from '../../../api/schema.ts';
import { ApiError } from '../../../api/status.ts';
import type { JsonObject } from '../schema/json.ts';
import { rootSchema } from '../schema/root-schema.ts';
import { applyStrategicMergePatch } from './strategic-merge.ts';

const schema = object({
  map: object({ a: string(), b: string() }),
  items: mapList(object({ name: string(), value: string(), list: array(string()) }), ['name']),
  set: array(string(), { 'x-kubernetes-patch-strategy': 'merge' }),
  atomic: array(string()),
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

test('the patch that kubectl set env sends changes one variable of one container', () => {
  const deployment = {
    spec: {
      template: {
        spec: {
          containers: [
            {
              name: 'a',
              env: [
                { name: 'X', value: '1' },
                { name: 'Y', value: '2' },
              ],
            },
            { name: 'b' },
          ],
        },
      },
    },
  };
  const patch = {
    spec: {
      template: {
        spec: {
          containers: [
            { name: 'a', '$setElementOrder/env': [{ name: 'X' }, { name: 'Y' }], env: [{ name: 'X', value: '9' }] },
          ],
        },
      },
    },
  };
  assert.deepEqual(applyStrategicMergePatch(deployment, patch, rootSchema(DeploymentKind)), {
    spec: {
      template: {
        spec: {
          containers: [
            {
              name: 'a',
              env: [
                { name: 'X', value: '9' },
                { name: 'Y', value: '2' },
              ],
            },
            { name: 'b' },
          ],
        },
      },
    },
  });
});

test('the lists that Kubernetes merges are merged: of a pod, its conditions, finalizers and volumes', () => {
  const pod = {
    metadata: { finalizers: ['a/b'] },
    spec: { volumes: [{ name: 'v', emptyDir: {} }] },
    status: { conditions: [{ type: 'Ready', status: 'False' }] },
  };
  const patch = {
    metadata: { finalizers: ['c/d'] },
    spec: { volumes: [{ name: 'w' }] },
    status: {
      conditions: [
        { type: 'Ready', status: 'True' },
        { type: 'X', status: 'True' },
      ],
    },
  };
  assert.deepEqual(applyStrategicMergePatch(pod, patch, rootSchema(PodKind)), {
    metadata: { finalizers: ['a/b', 'c/d'] },
    spec: { volumes: [{ name: 'v', emptyDir: {} }, { name: 'w' }] },
    status: {
      conditions: [
        { type: 'Ready', status: 'True' },
        { type: 'X', status: 'True' },
      ],
    },
  });
});

const nonsense: [why: string, patch: JsonObject][] = [
  ['an unknown directive', { map: { $patch: 'explode' } }],
  ['an item without its merge key', { items: [{ value: 'x' }] }],
  ['an item that is no object', { items: ['x'] }],
  ['$retainKeys that are no list', { map: { $retainKeys: 'a' } }],
];

for (const [why, patch] of nonsense) {
  test(`a strategic merge patch with ${why} is refused`, () => {
    const apply = () => applyStrategicMergePatch({ items: [], map: {} }, patch, schema);
    assert.throws(apply, (error: unknown) => error instanceof ApiError && error.code === 400);
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
