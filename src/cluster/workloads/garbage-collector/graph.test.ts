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
