import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { openWorld, type World } from '../../test/world.ts';
import { type ReplicaSet, ReplicaSetKind } from '../api/apps/replica-set.ts';
import { ConfigMapKind } from '../api/core/config-map.ts';
import { PodKind } from '../api/core/pod.ts';
import { ExpectedPods } from './expected-pods.ts';
import { workloadControllers } from './workloads/index.ts';

const uidOf = (digit: number) => `${digit}`.repeat(8).concat('-0000-4000-8000-000000000000');

describe('pods that are expected', () => {
  const expectedPods = new ExpectedPods();
  let world: World;
  before(async () => {
    world = await openWorld({ controllers: workloadControllers({ expectedPods }), expectedPods });
  });
  after(() => world.stop());

  function replicaSet(name: string): Promise<ReplicaSet> {
    return world.client.create(ReplicaSetKind, {
      apiVersion: 'apps/v1',
      kind: 'ReplicaSet',
      metadata: { name, namespace: 'default' },
      spec: {
        replicas: 0,
        selector: { matchLabels: { app: name } },
        template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'c', image: 'none' }] } },
      },
    });
  }
  function expect(owner: ReplicaSet, name: string, uid: string): { isTaken: boolean } {
    const told = { isTaken: false };
    const { template } = owner.spec;
    const onTaken = () => {
      told.isTaken = true;
    };
    expectedPods.expect({ ownerUid: owner.metadata.uid ?? '', template, name, uid, onTaken });
    return told;
  }
  async function podsOf(owner: ReplicaSet, count: number) {
    const key = { namespace: 'default', name: owner.metadata.name };
    await world.client.scale(ReplicaSetKind, key, count);
    await world.until(ReplicaSetKind, key, (stored) => stored?.status?.replicas === count);
    const { items } = await world.client.list(PodKind, { namespace: 'default' });
    return items.map(({ metadata }) => metadata).filter(({ labels }) => labels?.app === owner.metadata.name);
  }

  test('are created by their name and UID, the first of several, and once', async () => {
    const owner = await replicaSet('first');
    const told = expect(owner, 'first-abcde', uidOf(1));
    const pods = await podsOf(owner, 2);
    assert.equal(told.isTaken, true);
    const found = pods.find(({ name }) => name === 'first-abcde');
    assert.deepEqual([found?.uid, found?.generateName], [uidOf(1), 'first-']);
    assert.notEqual(pods.find(({ name }) => name !== 'first-abcde')?.uid, uidOf(1));
    assert.equal(expectedPods.claim(uidOf(1)), false);
  });

  test('whose template has changed, or that were forgotten, are not created', async () => {
    const changed = await replicaSet('changed');
    const other = structuredClone(changed);
    other.spec.template.spec.containers[0] = { name: 'c', image: 'other' };
    expect(other, 'changed-abcde', uidOf(2));
    assert.notEqual((await podsOf(changed, 1))[0]?.uid, uidOf(2));
    const forgotten = await replicaSet('forgotten');
    expect(forgotten, 'forgotten-abcde', uidOf(3));
    expectedPods.forget(uidOf(3));
    assert.notEqual((await podsOf(forgotten, 1))[0]?.uid, uidOf(3));
  });

  test('whose name is taken meanwhile leave their owner with another', async () => {
    const owner = await replicaSet('taken');
    await world.client.create(PodKind, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'taken-abcde', namespace: 'default' },
      spec: { containers: [{ name: 'c', image: 'none' }] },
    });
    expect(owner, 'taken-abcde', uidOf(4));
    const [pod] = await podsOf(owner, 1);
    assert.notEqual(pod?.name, 'taken-abcde');
  });

  test("a UID that nobody has set aside is the server's to choose", async () => {
    const config = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'uid', namespace: 'default' } } as const;
    const made = await world.client.create(ConfigMapKind, {
      ...config,
      metadata: { ...config.metadata, uid: uidOf(5) },
    });
    assert.notEqual(made.metadata.uid, uidOf(5));
  });
});
