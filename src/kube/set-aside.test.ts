import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { openWorld, type World, type WorldOptions } from '../../test/world.ts';
import { type Deployment, DeploymentKind } from '../api/apps/deployment.ts';
import { type ConfigMap, ConfigMapKind } from '../api/core/config-map.ts';
import { EventKind } from '../api/core/event.ts';
import type { Conditioned, KubeObject } from '../api/meta.ts';
import { Quarantine } from '../lib/quarantine.ts';
import { VirtualClock } from '../lib/virtual-clock.ts';
import { silentLogger } from '../observe/log.ts';
import { Metrics } from '../observe/metrics.ts';
import type { Controller } from './reconciler.ts';

const deployment = (name: string): Deployment => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name, namespace: 'default' },
  spec: {
    replicas: 0,
    selector: { matchLabels: { app: name } },
    template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'c', image: 'i' }] } },
  },
});

const configMap = (name: string): ConfigMap => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'default' },
});

const keyOfName = (name: string) => ({ namespace: 'default', name });

const noticeAt = (object: (KubeObject & { status?: Conditioned }) | undefined) =>
  object?.status?.conditions?.find((condition) => condition.type === 'Reconciled');

async function withWorld(options: WorldOptions, use: (world: World) => Promise<void>): Promise<void> {
  const world = await openWorld({ kinds: [], ...options });
  try {
    await use(world);
  } finally {
    await world.stop();
  }
}

/** A controller of Deployments that notes what it reconciles. */
function noting(name: string, reconciled: string[]): Controller {
  return {
    name,
    kind: DeploymentKind,
    async reconcile(object) {
      reconciled.push(object.metadata.name);
    },
  };
}

describe('a reconcile that is set aside', () => {
  test('is not run, says so with the way back, and is run again once it is released', async () => {
    const quarantine = new Quarantine({ setAside: ['rollout default/bad'] });
    const metrics = new Metrics('test');
    const reconciled: string[] = [];
    await withWorld({ quarantine, metrics, controllers: [noting('rollout', reconciled)] }, async (world) => {
      await world.client.create(DeploymentKind, deployment('bad'));
      await world.client.create(DeploymentKind, deployment('good'));
      const told = await world.until(DeploymentKind, keyOfName('bad'), noticeAt);
      const notice = noticeAt(told);
      assert.deepEqual([notice?.status, notice?.reason], ['False', 'SetAside']);
      assert.match(notice?.message ?? '', /kittiwake release control 'rollout default\/bad'$/);
      const [event] = await world.untilAll(EventKind, 'default', (all) => all.length > 0);
      assert.deepEqual(
        [event?.involvedObject.kind, event?.involvedObject.name, event?.type, event?.reason, event?.message],
        ['Deployment', 'bad', 'Warning', 'SetAside', notice?.message],
      );
      assert.match(await metrics.text(), /kittiwake_reconciles_set_aside\{controller="rollout",role="test"\} 1/);
      assert.deepEqual(new Set(reconciled), new Set(['good']));

      quarantine.update([]);
      await world.until(DeploymentKind, keyOfName('bad'), (object) => object && !noticeAt(object));
      while (!reconciled.includes('bad')) await setImmediate();
      assert.doesNotMatch(await metrics.text(), /kittiwake_reconciles_set_aside\{controller/);
    });
  });

  test('is forgotten with its object: a release after that calls for nothing', async () => {
    const quarantine = new Quarantine({ setAside: ['settings default/bad'] });
    const gone: string[] = [];
    const onGone = ({ name }: { name: string }) => void gone.push(name);
    const controller: Controller = { name: 'settings', kind: ConfigMapKind, async reconcile() {}, onGone };
    await withWorld({ quarantine, controllers: [controller] }, async ({ client, untilAll }) => {
      const end = async (name: string) => {
        await client.delete(ConfigMapKind, keyOfName(name));
        while (!gone.includes(name)) await setImmediate();
      };
      await client.create(ConfigMapKind, configMap('bad'));
      await untilAll(EventKind, 'default', (all) => all.length === 1);
      await client.create(ConfigMapKind, configMap('other'));
      await end('bad');
      quarantine.update([]);
      await end('other');
      assert.deepEqual(gone, ['bad', 'other']);
    });
  });

  test('is told of by an Event alone where the kind has no conditions, and of an object of its name anew', async () => {
    const quarantine = new Quarantine({ setAside: ['settings default/bad'] });
    const controller: Controller = { name: 'settings', kind: ConfigMapKind, async reconcile() {} };
    await withWorld({ quarantine, controllers: [controller] }, async ({ client, untilAll }) => {
      await client.create(ConfigMapKind, configMap('bad'));
      await untilAll(EventKind, 'default', (all) => all.length === 1);
      await client.delete(ConfigMapKind, keyOfName('bad'));
      await client.create(ConfigMapKind, configMap('bad'));
      const events = await untilAll(EventKind, 'default', (all) => all.length === 2);
      assert.deepEqual(
        events.map((event) => event.involvedObject.name),
        ['bad', 'bad'],
      );
    });
  });

  test('leaves the other controllers of its object to themselves, and does not quarrel with them', async () => {
    const quarantine = new Quarantine({ setAside: ['rollout default/bad'] });
    let writes = 0;
    const careless: Controller<Deployment> = {
      name: 'careless',
      kind: DeploymentKind,
      async reconcile(object, { client }) {
        if (!noticeAt(object)) return;
        writes++;
        await client.update(DeploymentKind, { ...object, status: { ...object.status, conditions: [] } }, 'status');
      },
    };
    const controllers = [noting('rollout', []), careless as unknown as Controller];
    await withWorld({ quarantine, controllers }, async (world) => {
      await world.client.create(DeploymentKind, deployment('bad'));
      await world.untilAll(EventKind, 'default', (all) => all.length === 1);
      await world.until(DeploymentKind, keyOfName('bad'), (object) => object && writes === 1 && !noticeAt(object));
      for (let i = 0; i < 20; i++) await setImmediate();
      assert.equal(writes, 1);
    });
  });

  test('of an older process is forgotten when it was released meanwhile', async () => {
    const reconciled: string[] = [];
    await withWorld({ controllers: [noting('rollout', reconciled)] }, async ({ client, until }) => {
      const stored = await client.create(DeploymentKind, deployment('bad'));
      const message = "give it back with: kittiwake release control 'rollout default/bad'";
      const conditions: Conditioned['conditions'] = [
        { type: 'Reconciled', status: 'False', reason: 'SetAside', message },
      ];
      const current = (await client.get(DeploymentKind, keyOfName('bad'))) ?? stored;
      await client.update(DeploymentKind, { ...current, status: { conditions } } as Deployment, 'status');
      await until(DeploymentKind, keyOfName('bad'), (object) => object && !noticeAt(object));
    });
  });
});

test('a reconcile that does not end is told of while it runs, and counted, and holds up no other object', async () => {
  const clock = new VirtualClock();
  const metrics = new Metrics('test');
  const warned: string[] = [];
  const log = { ...silentLogger, warn: (_fields: object, message: string) => void warned.push(message) };
  log.child = () => log;
  let end = () => {};
  const reconciled: string[] = [];
  const controller: Controller = {
    name: 'slow',
    kind: ConfigMapKind,
    async reconcile({ metadata: { name } }) {
      if (name === 'slow') await new Promise<void>((resolve) => (end = resolve));
      reconciled.push(name);
    },
  };
  await withWorld({ clock, metrics, log, controllers: [controller] }, async ({ client }) => {
    await client.create(ConfigMapKind, configMap('slow'));
    await client.create(ConfigMapKind, configMap('quick'));
    await clock.advance(29_000);
    assert.deepEqual([reconciled, warned], [['quick'], []]);
    await clock.advance(70_000);
    assert.deepEqual(warned, ['reconcile still running after 30 s', 'reconcile still running after 60 s']);
    assert.match(await metrics.text(), /kittiwake_reconciles_overdue_total\{controller="slow",role="test"\} 2/);
    end();
    await clock.advance(1_000_000);
    assert.deepEqual([reconciled, warned.length], [['quick', 'slow'], 2]);
  });
});
