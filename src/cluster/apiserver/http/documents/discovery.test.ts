import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defineKind } from '../../../../api/kind.ts';
import { object } from '../../../../api/schema.ts';
import { servedResource } from '../../served-resource.ts';
import { aggregated, byPriority, groupDocument, groupList, resourceList } from './discovery.ts';

const kind = (version: string, extra: object = {}) =>
  defineKind({ group: 'example.com', version, kind: 'Flower', shortNames: ['fl'], schema: object({}), ...extra });
const scale = { specReplicasPath: '.spec.count', statusReplicasPath: '.status.count' };
const kinds = [kind('v1beta1'), kind('v1', { scale }), kind('v1alpha1')];
const resources = kinds.map((kind) => servedResource({ kind }));

test('versions are ordered as Kubernetes prefers them', () => {
  const sorted = ['v1alpha1', 'v1', 'v11beta2', 'v10beta3', 'v3beta1', 'v12alpha1', 'v10', 'v2', 'foo1', 'foo10'].sort(
    byPriority,
  );
  assert.deepEqual(sorted, [
    'v10',
    'v2',
    'v1',
    'v11beta2',
    'v10beta3',
    'v3beta1',
    'v12alpha1',
    'v1alpha1',
    'foo1',
    'foo10',
  ]);
});

test('a group prefers its stable version', () => {
  const group = groupDocument(resources, 'example.com') as {
    preferredVersion: object;
    versions: { version: string }[];
  };
  assert.deepEqual(group.preferredVersion, { groupVersion: 'example.com/v1', version: 'v1' });
  assert.deepEqual(
    group.versions.map((version) => version.version),
    ['v1', 'v1beta1', 'v1alpha1'],
  );
  assert.equal(groupDocument(resources, 'absent.com'), undefined);
  const { groups } = groupList(resources) as { groups: { name: string }[] };
  assert.ok(groups.some((listed) => listed.name === 'example.com'));
});

test('a resource is listed with its subresources, and the kinds that those answer with', () => {
  const list = resourceList(resources, 'example.com', 'v1') as { resources: object[] };
  assert.deepEqual(
    list.resources.map((resource) => ({ ...resource, verbs: undefined })),
    [
      {
        name: 'flowers',
        singularName: 'flower',
        namespaced: true,
        kind: 'Flower',
        shortNames: ['fl'],
        verbs: undefined,
      },
      { name: 'flowers/status', singularName: '', namespaced: true, kind: 'Flower', verbs: undefined },
      {
        name: 'flowers/scale',
        singularName: '',
        namespaced: true,
        group: 'autoscaling',
        version: 'v1',
        kind: 'Scale',
        verbs: undefined,
      },
    ],
  );
  assert.equal(resourceList(resources, 'example.com', 'v2'), undefined);
});

test('the aggregated document separates the core group from the others', () => {
  const names = (isCore: boolean) =>
    (aggregated(resources, 'v2', isCore) as { items: { metadata: { name?: string } }[] }).items.map(
      (i) => i.metadata.name,
    );
  assert.deepEqual(names(true), []);
  assert.ok(names(false).includes('example.com'));
});
