import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ensureNamespace, openWorld, type World } from '../../../../test/world.ts';
import { type ConfigMap, ConfigMapKind } from '../../../api/core/config-map.ts';
import { type Namespace, NamespaceKind } from '../../../api/core/namespace.ts';
import { type Node, NodeKind } from '../../../api/core/node.ts';
import type { KubeObject, OwnerReference } from '../../../api/meta.ts';
import { Quarantine } from '../../../lib/quarantine.ts';
import { defineOctopodes, OctopusKind, octopus } from '../../apiserver/testing/octopodes.ts';
import { garbageCollector } from './controller.ts';

let world: World;

const configMap = (namespace: string, name: string, owners: KubeObject[] = []): ConfigMap => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace, ownerReferences: owners.map(blockedBy) },
});

const blockedBy = ({ apiVersion, kind, metadata: { name, uid = '' } }: KubeObject): OwnerReference => ({
  apiVersion,
  kind,
  name,
  uid,
  blockOwnerDeletion: true,
});

const create = (namespace: string, name: string, ...owners: KubeObject[]) =>
  world.client.create(ConfigMapKind, configMap(namespace, name, owners));

const own = (object: ConfigMap, ...owners: KubeObject[]) =>
  world.client.update(ConfigMapKind, {
    ...object,
    metadata: { ...object.metadata, ownerReferences: owners.map(blockedBy) },
  });

/** Objects of which each is owned by the one before, and the first by the last. */
async function circle(namespace: string, size: number): Promise<ConfigMap[]> {
  const free = await Promise.all(Array.from({ length: size }, (_, i) => create(namespace, `link-${i}`)));
  return await Promise.all(free.map((link, i) => own(link, free.at(i - 1) as ConfigMap)));
}

const deleteInForeground = ({ metadata: { namespace = '', name } }: ConfigMap) =>
  world.client.delete(ConfigMapKind, { namespace, name }, { propagationPolicy: 'Foreground' });

const names = (objects: KubeObject[]) => objects.map((object) => object.metadata.name).sort();
const untilNamed = (namespace: string, ...expected: string[]) =>
  world.untilAll(ConfigMapKind, namespace, (all) => names(all).join() === expected.join());

let namespaces = 0;
async function freshNamespace(): Promise<string> {
  const name = `owners-${++namespaces}`;
  await ensureNamespace(world.client, name);
  return name;
}

describe('a circle of owners', () => {
  before(async () => {
    world = await openWorld({ controllers: [garbageCollector()] });
  });
  after(() => world.stop());

  for (const size of [1, 2, 3]) {
    test(`of ${size} is collected when one of it is deleted in the foreground`, async () => {
      const namespace = await freshNamespace();
      const [first] = await circle(namespace, size);
      await deleteInForeground(first as ConfigMap);
      await untilNamed(namespace);
    });
  }

  for (const propagationPolicy of ['Background', 'Orphan'] as const) {
    test(`is no obstacle to a deletion with ${propagationPolicy}`, async () => {
      const namespace = await freshNamespace();
      await circle(namespace, 3);
      await world.client.delete(ConfigMapKind, { namespace, name: 'link-0' }, { propagationPolicy });
      if (propagationPolicy === 'Background') await untilNamed(namespace);
      else {
        await untilNamed(namespace, 'link-1', 'link-2');
        const left = await world.client.list(ConfigMapKind, { namespace });
        assert.deepEqual(
          left.items.map((object) => object.metadata.ownerReferences?.length ?? 0),
          [0, 1],
        );
      }
    });
  }

  test('that nobody deletes stays', async () => {
    const namespace = await freshNamespace();
    await circle(namespace, 3);
    // What comes after it in every queue has been collected: so it has been looked at.
    const owner = await create(namespace, 'owner');
    await create(namespace, 'other', owner);
    await world.client.delete(ConfigMapKind, { namespace, name: 'owner' });
    await untilNamed(namespace, 'link-0', 'link-1', 'link-2');
  });

  test('that a live owner holds from outside keeps what it holds', async () => {
    const namespace = await freshNamespace();
    const [first, second, third] = (await circle(namespace, 3)) as [ConfigMap, ConfigMap, ConfigMap];
    const holder = await create(namespace, 'holder');
    await own(third, second, holder);
    await deleteInForeground(first);
    const left = await untilNamed(namespace, 'holder', 'link-2');
    assert.deepEqual(left.find((object) => object.metadata.name === 'link-2')?.metadata.ownerReferences, [
      blockedBy(holder),
    ]);
  });

  test('goes with the last owner that held it from outside', async () => {
    const namespace = await freshNamespace();
    const [first, second, third] = (await circle(namespace, 3)) as [ConfigMap, ConfigMap, ConfigMap];
    const [one, two] = [await create(namespace, 'one'), await create(namespace, 'two')];
    await Promise.all([own(first, third, one), own(second, first, two)]);
    await world.client.delete(ConfigMapKind, { namespace, name: 'one' });
    const held = await world.untilAll(ConfigMapKind, namespace, (all) =>
      all.some((o) => o.metadata.name === 'link-0' && o.metadata.ownerReferences?.length === 1),
    );
    assert.deepEqual(names(held), ['link-0', 'link-1', 'link-2', 'two']);
    await world.client.delete(ConfigMapKind, { namespace, name: 'two' });
    await untilNamed(namespace);
  });

  test('goes after what depends on it', async () => {
    const namespace = await freshNamespace();
    const [first, second] = (await circle(namespace, 2)) as [ConfigMap, ConfigMap];
    const leaf = configMap(namespace, 'leaf', [second]);
    leaf.metadata.finalizers = ['example.com/mine'];
    await world.client.create(ConfigMapKind, leaf);
    await deleteInForeground(first);
    const waiting = await world.untilAll(ConfigMapKind, namespace, (all) =>
      all.every((object) => object.metadata.deletionTimestamp !== undefined),
    );
    assert.deepEqual(names(waiting), ['leaf', 'link-0', 'link-1']);
    const stored = waiting.find((object) => object.metadata.name === 'leaf') as ConfigMap;
    await world.client.update(ConfigMapKind, { ...stored, metadata: { ...stored.metadata, finalizers: [] } });
    await untilNamed(namespace);
  });

  test('two of them that share an object are collected', async () => {
    const namespace = await freshNamespace();
    const [first, second, third] = (await circle(namespace, 3)) as [ConfigMap, ConfigMap, ConfigMap];
    const other = await create(namespace, 'other', second);
    await own(second, first, other);
    await deleteInForeground(third);
    await untilNamed(namespace);
  });
});

describe('the garbage collector', () => {
  before(async () => {
    world = await openWorld({ controllers: [garbageCollector()] });
  });
  after(() => world.stop());

  test('takes an owner in another namespace for one that is not there', async () => {
    const [namespace, elsewhere] = [await freshNamespace(), await freshNamespace()];
    const owner = await create(elsewhere, 'owner');
    await create(namespace, 'child', owner);
    await untilNamed(namespace);
    assert.equal((await world.client.list(ConfigMapKind, { namespace: elsewhere })).items.length, 1);
  });

  test('collects what an object without a namespace owned, in whatever namespace', async () => {
    const namespace = await freshNamespace();
    const node: Node = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'owner' } };
    const owner = await world.client.create(NodeKind, node);
    await create(namespace, 'child', owner);
    await world.client.delete(NodeKind, { name: 'owner' }, { propagationPolicy: 'Foreground' });
    await untilNamed(namespace);
    await world.until(NodeKind, { name: 'owner' }, (object) => object === undefined);
  });

  test('knows an owner by its kind, whatever its plural, and by whichever version', async () => {
    await ensureNamespace(world.client, 'default');
    await defineOctopodes(world.client);
    const owner = await world.client.create(OctopusKind, octopus('owner'));
    await create('default', 'arm', { ...owner, apiVersion: 'sea.example.dev/v1alpha1' });
    await create('default', 'stays', owner);
    await world.client.delete(OctopusKind, { namespace: 'default', name: 'owner' }, { propagationPolicy: 'Orphan' });
    await untilNamed('default', 'arm', 'stays');
    const other = await world.client.create(OctopusKind, octopus('other'));
    await create('default', 'held', { ...other, apiVersion: 'sea.example.dev/v1alpha1' });
    await world.client.delete(OctopusKind, { namespace: 'default', name: 'other' });
    await untilNamed('default', 'arm', 'stays');
  });

  test('lets no object in a namespace own one without, nor wait for it', async () => {
    const namespace = await freshNamespace();
    const owner = await create(namespace, 'owner');
    const foreign: Namespace = {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: `${namespace}-b`, ownerReferences: [blockedBy(owner)] },
    };
    await world.client.create(NamespaceKind, foreign);
    await deleteInForeground(owner);
    await untilNamed(namespace);
    const left = await world.client.get(NamespaceKind, { name: foreign.metadata.name });
    assert.equal(left?.metadata.deletionTimestamp, undefined);
  });
});

test('an object whose collection is set aside stays until it is released', async () => {
  const quarantine = new Quarantine({ setAside: ['garbage-collection configmaps default/bad'] });
  world = await openWorld({ controllers: [garbageCollector()], quarantine });
  try {
    const owner = await create('default', 'owner');
    await create('default', 'bad', owner);
    await create('default', 'good', owner);
    await world.client.delete(ConfigMapKind, { namespace: 'default', name: 'owner' });
    await untilNamed('default', 'bad');
    quarantine.update([]);
    await untilNamed('default');
  } finally {
    await world.stop();
  }
});
