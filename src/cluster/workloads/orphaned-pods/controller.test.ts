import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { openWorld, type World } from '../../../../test/world.ts';
import { NodeKind } from '../../../api/core/node.ts';
import { type Pod, PodKind } from '../../../api/core/pod.ts';
import { systemClock } from '../../../lib/clock.ts';
import { orphanedPodController } from './controller.ts';

const podOn = (name: string, nodeName: string): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'default' },
  spec: { nodeName, containers: [{ name: 'c', image: 'web' }] },
});
const key = (name: string) => ({ namespace: 'default', name });

describe('a pod whose node is not there', () => {
  let world: World;
  /** Shifts the clock that the controller sees; timers fire at once. */
  let shiftMs = 0;
  const waits: number[] = [];
  before(async () => {
    const clock = {
      ...systemClock,
      now: () => systemClock.now() + shiftMs,
      after(delayMs: number, task: () => void) {
        if (delayMs > 30_000) waits.push(delayMs);
        return systemClock.after(Math.min(delayMs, 20), task);
      },
    };
    world = await openWorld({ controllers: [orphanedPodController()], clock });
  });
  after(() => world.stop());

  test('stays for as long as its node may come back, and then goes, even when it ends already', async () => {
    const { client } = world;
    await client.create(NodeKind, { apiVersion: 'v1', kind: 'Node', metadata: { name: 'here' } });
    await client.create(PodKind, podOn('at-home', 'here'));
    await client.create(PodKind, podOn('lost', 'nowhere'));
    await client.create(PodKind, podOn('ending', 'nowhere'));
    await client.delete(PodKind, key('ending'));
    await world.until(
      PodKind,
      key('ending'),
      (pod) => pod?.metadata.deletionTimestamp !== undefined && waits.length > 2,
    );
    assert.ok(await client.get(PodKind, key('lost')), 'not at once');
    assert.ok(Math.max(...waits) > 39_000, `it waits for its node: ${waits}`);
    shiftMs = 41_000;
    await world.untilAll(PodKind, 'default', (pods) => pods.length === 1);
    assert.ok(await client.get(PodKind, key('at-home')), 'a pod whose node is there is left alone');
  });

  test('goes once its node is deleted for good', async () => {
    const { client } = world;
    await client.delete(NodeKind, { name: 'here' });
    await world.untilAll(PodKind, 'default', (pods) => pods.length === 1 && waits.length > 3);
    shiftMs += 41_000;
    await world.untilAll(PodKind, 'default', (pods) => pods.length === 0);
  });
});
