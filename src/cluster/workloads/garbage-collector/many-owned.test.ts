/** The garbage collector where there is much to collect. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ensureNamespace, openWorld, type World } from '../../../../test/world.ts';
import { type ConfigMap, ConfigMapKind } from '../../../api/core/config-map.ts';
import { garbageCollector } from './controller.ts';

describe('thousands of objects', () => {
  let world: World;
  before(async () => {
    world = await openWorld({ controllers: [garbageCollector()] });
  });
  after(() => world.stop());

  const configMap = (namespace: string, name: string, owner?: ConfigMap): ConfigMap => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {
      name,
      namespace,
      ...(owner && {
        ownerReferences: [
          {
            apiVersion: 'v1',
            kind: 'ConfigMap',
            name: owner.metadata.name,
            uid: owner.metadata.uid ?? '',
            blockOwnerDeletion: true,
          },
        ],
      }),
    },
  });

  /** As many at once as the store takes in one commit without complaint. */
  async function inBatches<T>(count: number, make: (i: number) => Promise<T>): Promise<T[]> {
    const made: T[] = [];
    while (made.length < count) {
      const size = Math.min(500, count - made.length);
      made.push(...(await Promise.all(Array.from({ length: size }, (_, i) => make(made.length + i)))));
    }
    return made;
  }

  async function deleteInForeground({ metadata: { namespace = '', name } }: ConfigMap): Promise<void> {
    await world.client.delete(ConfigMapKind, { namespace, name }, { propagationPolicy: 'Foreground' });
    await world.untilAll(ConfigMapKind, namespace, (all) => all.length === 0);
  }

  /** Does `work`; fails when others had no turn of the event loop meanwhile. */
  async function withTurns(work: () => Promise<void>): Promise<void> {
    let turns = 0;
    let isDone = false;
    const turn = () => {
      turns++;
      if (!isDone) setTimeout(turn, 0);
    };
    turn();
    try {
      await work();
    } finally {
      isDone = true;
    }
    assert.ok(turns > 50, `${turns} turns`);
  }

  test('that own one another are collected', async () => {
    await ensureNamespace(world.client, 'circle');
    const free = await inBatches(1_000, (i) => world.client.create(ConfigMapKind, configMap('circle', `link-${i}`)));
    const links = await inBatches(1_000, (i) => {
      const { metadata } = free[i] as ConfigMap;
      const owned = configMap('circle', metadata.name, free.at(i - 1));
      return world.client.update(ConfigMapKind, { ...owned, metadata: { ...metadata, ...owned.metadata } });
    });
    await deleteInForeground(links[0] as ConfigMap);
  });

  test('in a web, where each owns each, are collected', async () => {
    await ensureNamespace(world.client, 'web');
    const free = await inBatches(60, (i) => world.client.create(ConfigMapKind, configMap('web', `knot-${i}`)));
    const ownerReferences = free.map(({ metadata: { name, uid = '' } }) => {
      return { apiVersion: 'v1', kind: 'ConfigMap', name, uid, blockOwnerDeletion: true };
    });
    const knots = await inBatches(60, (i) => {
      const knot = free[i] as ConfigMap;
      return world.client.update(ConfigMapKind, { ...knot, metadata: { ...knot.metadata, ownerReferences } });
    });
    await deleteInForeground(knots[0] as ConfigMap);
  });

  test('of one owner are collected, and others have their turns meanwhile', async () => {
    await ensureNamespace(world.client, 'family');
    const owner = await world.client.create(ConfigMapKind, configMap('family', 'owner'));
    await inBatches(2_000, (i) => world.client.create(ConfigMapKind, configMap('family', `child-${i}`, owner)));
    await withTurns(() => deleteInForeground(owner));
  });
});
