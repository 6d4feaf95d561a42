import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { openWorld, type World } from '../../../../test/world.ts';
import { type ReplicaSet, ReplicaSetKind } from '../../../api/apps/replica-set.ts';
import { PodKind } from '../../../api/core/pod.ts';
import { workloadControllers } from '../index.ts';

describe('a ReplicaSet of two billion pods', () => {
  let world: World;
  before(async () => {
    world = await openWorld({ controllers: workloadControllers() });
  });
  after(() => world.stop());

  test('says how far it is, and stops when it is told to', async () => {
    const key = { namespace: 'default', name: 'many' };
    const replicaSet: ReplicaSet = {
      apiVersion: 'apps/v1',
      kind: 'ReplicaSet',
      metadata: key,
      spec: {
        replicas: 2_000_000_000,
        selector: { matchLabels: { app: 'many' } },
        template: { metadata: { labels: { app: 'many' } }, spec: { containers: [{ name: 'c', image: 'none' }] } },
      },
    };
    await world.client.create(ReplicaSetKind, replicaSet);
    await world.until(ReplicaSetKind, key, (stored) => (stored?.status?.replicas ?? 0) > 0);
    await world.client.scale(ReplicaSetKind, key, 1);
    await world.until(ReplicaSetKind, key, (stored) => stored?.status?.replicas === 1);
    assert.equal((await world.client.list(PodKind, { namespace: 'default' })).items.length, 1);
  });
});
