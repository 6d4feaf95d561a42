import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfigMapKind } from '../../../api/core/config-map.ts';
import type { KubeObject, OwnerReference } from '../../../api/meta.ts';
import { OwnershipGraph } from './graph.ts';

const reference = (uid: string, extra: Partial<OwnerReference> = {}): OwnerReference => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  name: uid,
  uid,
  ...extra,
});

const object = (uid: string, metadata: Partial<KubeObject['metadata']> = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: uid, namespace: 'n', uid, ...metadata },
});

const deleted = (finalizer: string) => ({ deletionTimestamp: '2026-01-01T00:00:00Z', finalizers: [finalizer] });

test('an object that is owned is looked at once, and again when its owner goes', () => {
  const graph = new OwnershipGraph();
  assert.deepEqual(graph.put(ConfigMapKind, object('owner')), []);
  const child = object('child', { ownerReferences: [reference('owner')] });
  assert.deepEqual(graph.put(ConfigMapKind, child), ['child']);
  assert.deepEqual(graph.put(ConfigMapKind, child), []);
  assert.deepEqual(graph.remove(ConfigMapKind, { namespace: 'n', name: 'owner' }), ['child']);
});

test('an object that took the name of another is another owner', () => {
  const graph = new OwnershipGraph();
  graph.put(ConfigMapKind, object('owner'));
  graph.put(ConfigMapKind, object('child', { ownerReferences: [reference('owner')] }));
  assert.deepEqual(graph.put(ConfigMapKind, object('owner', { uid: 'newer' })), ['child']);
  assert.equal(graph.get('owner'), undefined);
});

test('what is gone is forgotten, and going again, or never having been there, is nothing', () => {
  const graph = new OwnershipGraph();
  const [owner, child] = [
    { namespace: 'n', name: 'owner' },
    { namespace: 'n', name: 'child' },
  ];
  assert.deepEqual(graph.remove(ConfigMapKind, owner), []);
  graph.put(ConfigMapKind, object('owner'));
  graph.put(ConfigMapKind, object('child', { ownerReferences: [reference('owner')] }));
  assert.deepEqual(graph.remove(ConfigMapKind, owner), ['child']);
  assert.deepEqual(graph.remove(ConfigMapKind, owner), []);
  assert.equal(graph.hasDependents('owner'), true);
  graph.remove(ConfigMapKind, child);
  assert.equal(graph.hasDependents('owner'), false);
});

test('an owner has its dependents until the last of them is gone or has another owner', () => {
  const graph = new OwnershipGraph();
  for (const uid of ['a', 'b', 'c']) {
    graph.put(ConfigMapKind, object(uid, { ownerReferences: [reference('owner')] }));
  }
  graph.remove(ConfigMapKind, { namespace: 'n', name: 'a' });
  assert.deepEqual(
    graph.dependentsOf('owner').map(({ uid }) => uid),
    ['b', 'c'],
  );
  graph.put(ConfigMapKind, object('b', { ownerReferences: [reference('other')] }));
  assert.deepEqual(
    graph.dependentsOf('owner').map(({ uid }) => uid),
    ['c'],
  );
  graph.put(ConfigMapKind, object('c'));
  assert.deepEqual([graph.hasDependents('owner'), graph.hasDependents('other')], [false, true]);
});

test('an object without a UID is none yet', () => {
  const graph = new OwnershipGraph();
  const { uid: _, ...metadata } = object('new', deleted('orphan')).metadata;
  assert.deepEqual(graph.put(ConfigMapKind, { ...object('new'), metadata }), []);
});

test('finalizers mean nothing before the deletion, and a deletion nothing without them', () => {
  const graph = new OwnershipGraph();
  const { deletionTimestamp } = deleted('');
  for (const metadata of [{ finalizers: ['foregroundDeletion', 'orphan'] }, { deletionTimestamp }]) {
    graph.put(ConfigMapKind, object('a', metadata));
    assert.deepEqual([graph.get('a')?.isForeground, graph.get('a')?.isOrphaning], [false, false]);
  }
});

test('an object is looked at again whenever anything of its owners has changed', () => {
  const graph = new OwnershipGraph();
  const [one, two] = [reference('one'), reference('two')];
  for (const ownerReferences of [
    [one],
    [one, two],
    [one, { ...two, blockOwnerDeletion: true }],
    [one, reference('three')],
    [one],
  ]) {
    const child = object('child', { ownerReferences });
    assert.deepEqual(graph.put(ConfigMapKind, child), ['child'], JSON.stringify(ownerReferences));
    assert.deepEqual(graph.put(ConfigMapKind, child), []);
  }
});

test('an owner waits for what blocks it, and only where it may own it', () => {
  const blocking = (...uids: string[]) => uids.map((uid) => reference(uid, { blockOwnerDeletion: true }));
  const inNamespace = (namespace: string | undefined, { metadata }: KubeObject): KubeObject => {
    const { namespace: _, ...others } = metadata;
    return { ...object(''), metadata: namespace === undefined ? others : { ...others, namespace } };
  };
  for (const [what, ownerIn, childIn, ownerReferences, expected] of [
    ['that blocks it', 'n', 'n', blocking('owner'), true],
    ['that does not block it', 'n', 'n', [reference('owner')], false],
    ['that blocks another', 'n', 'n', [reference('owner'), ...blocking('other')], false],
    ['in another namespace', 'n', 'm', blocking('owner'), false],
    ['in a namespace, being in none', undefined, 'n', blocking('owner'), true],
    ['in none', 'n', undefined, blocking('owner'), false],
  ] as const) {
    const graph = new OwnershipGraph();
    graph.put(ConfigMapKind, inNamespace(ownerIn, object('owner', deleted('foregroundDeletion'))));
    graph.put(ConfigMapKind, inNamespace(childIn, object('child', { ownerReferences: [...ownerReferences] })));
    assert.equal(graph.mustWait('owner'), expected, what);
  }
});

test('who is not there waits for nothing', () => {
  const graph = new OwnershipGraph();
  graph.put(ConfigMapKind, object('child', { ownerReferences: [reference('gone', { blockOwnerDeletion: true })] }));
  assert.equal(graph.mustWait('gone'), false);
});

test('an owner that waits for its dependents is looked at when one goes or lets it go', () => {
  const graph = new OwnershipGraph();
  const blocking = { ownerReferences: [reference('owner', { blockOwnerDeletion: true })] };
  graph.put(ConfigMapKind, object('a', blocking));
  graph.put(ConfigMapKind, object('b', blocking));
  graph.put(ConfigMapKind, object('free', { ownerReferences: [reference('owner')] }));
  const waiting = object('owner', deleted('foregroundDeletion'));
  assert.deepEqual(graph.put(ConfigMapKind, waiting), ['owner', 'a', 'b', 'free']);
  assert.deepEqual(graph.put(ConfigMapKind, waiting), ['owner']);
  assert.deepEqual(graph.remove(ConfigMapKind, { namespace: 'n', name: 'free' }), []);
  assert.deepEqual(graph.remove(ConfigMapKind, { namespace: 'n', name: 'a' }), ['owner']);
  assert.deepEqual(graph.put(ConfigMapKind, object('b')), ['owner']);
  assert.deepEqual(graph.dependentsOf('owner'), []);
});

test('an owner that lets its dependents go is looked at', () => {
  const graph = new OwnershipGraph();
  assert.deepEqual(graph.put(ConfigMapKind, object('owner', deleted('orphan'))), ['owner']);
  assert.equal(graph.get('owner')?.isOrphaning, true);
});

/** Who must wait, of objects given by their owners; all wait for their dependents but those in `live`. */
function waiting(owners: Record<string, string[]>, live: string[] = []): string[] {
  const graph = new OwnershipGraph();
  for (const [uid, of] of Object.entries(owners)) {
    const ownerReferences = of.map((owner) => reference(owner, { blockOwnerDeletion: true }));
    const deletion = live.includes(uid) ? {} : deleted('foregroundDeletion');
    graph.put(ConfigMapKind, object(uid, { ...deletion, ownerReferences }));
  }
  return Object.keys(owners).filter((uid) => graph.mustWait(uid));
}

for (const [what, owners, live, expected] of [
  ['a chain', { a: [], b: ['a'], c: ['b'] }, [], ['a', 'b']],
  ['an object that owns itself', { a: ['a'] }, [], []],
  ['a circle', { a: ['c'], b: ['a'], c: ['b'] }, [], []],
  ['a circle with one that does not wait yet', { a: ['c'], b: ['a'], c: ['b'] }, ['c'], ['a', 'b', 'c']],
  ['a circle with a leaf that is there', { a: ['b'], b: ['a'], leaf: ['b'] }, ['leaf'], ['a', 'b']],
  ['a circle with a leaf that is going', { a: ['b'], b: ['a'], leaf: ['b'] }, [], ['a', 'b']],
  ['a circle below an owner', { top: [], a: ['b', 'top'], b: ['a'] }, [], ['top']],
  ['two circles that share an object', { a: ['b', 'c'], b: ['a'], c: ['a'] }, [], []],
] as const) {
  test(`who waits in ${what}`, () => {
    assert.deepEqual(
      waiting(Object.fromEntries(Object.entries(owners).map(([uid, of]) => [uid, [...of]])), [...live]),
      expected,
    );
  });
}

test('in a web, where each owns each, whether one must wait is found out by looking at each owner once', () => {
  const size = 200;
  let looks = 0;
  const owners = Array.from({ length: size }, (_, i) => ({
    ...reference(`knot-${i}`),
    blockOwnerDeletion: true,
    get uid() {
      looks++;
      return `knot-${i}`;
    },
  }));
  const graph = new OwnershipGraph();
  for (let i = 0; i < size; i++) {
    const knot = object(`knot-${i}`, { ownerReferences: owners, ...deleted('foregroundDeletion') });
    graph.put(ConfigMapKind, knot);
  }
  assert.equal(graph.mustWait('knot-7'), false);
  // When they were put in, and once more; each of the 200 asked for each of its owners' owners would be 200³.
  assert.ok(looks <= 10 * size ** 2, `${looks} looks`);
});
