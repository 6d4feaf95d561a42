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
  graph.put(ConfigMapKind, object('a', { ownerReferences: [reference('owner')] }));
  graph.put(ConfigMapKind, object('b', { ownerReferences: [reference('owner')] }));
  assert.deepEqual(graph.put(ConfigMapKind, object('owner', deleted('foregroundDeletion'))), ['owner']);
  assert.deepEqual(graph.remove(ConfigMapKind, { namespace: 'n', name: 'a' }), ['owner']);
  assert.deepEqual(graph.put(ConfigMapKind, object('b')), ['owner']);
  assert.deepEqual(graph.dependentsOf('owner'), []);
});

test('an owner that lets its dependents go is looked at', () => {
  const graph = new OwnershipGraph();
  assert.deepEqual(graph.put(ConfigMapKind, object('owner', deleted('orphan'))), ['owner']);
  assert.equal(graph.get('owner')?.isOrphaning, true);
});
