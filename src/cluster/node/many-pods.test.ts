import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ConfigMapKind } from '../../api/core/config-map.ts';
import { PodKind } from '../../api/core/pod.ts';
import type { Volume } from '../../api/core/pod-spec.ts';
import { until } from '../../lib/testing/until.ts';
import { openTestRegistry, type TestRegistry } from './testing/test-images.ts';
import { openTestNode, type TestNode } from './testing/test-node.ts';
import { ToyMachine } from './testing/toy-driver.ts';
import { toyPrograms } from './testing/toy-programs.ts';

/** KITTIWAKE_MANY_PODS says how many, for once with a thousand. */
const count = Number(process.env.KITTIWAKE_MANY_PODS ?? 200);
const atOnce = 20;
const linux = { skip: process.platform !== 'linux' && 'each toy sandbox has an address of its own in 127.0.0.0/8' };

describe('many pods that come and go', linux, () => {
  let registry: TestRegistry;
  let node: TestNode;
  let image: string;
  const machine = new ToyMachine(toyPrograms);

  before(async () => {
    registry = await openTestRegistry();
    node = await openTestNode(registry.client, { openDriver: () => machine.open() });
    image = await registry.push([{ file: '' }], { Entrypoint: ['wait'], WorkingDir: '/' });
    await node.client.create(ConfigMapKind, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'conf', namespace: 'default' },
      data: { level: '0' },
    });
  });
  after(async () => {
    await node.stop();
    await registry.stop();
  });

  const volumes: Volume[] = [
    { name: 'conf', configMap: { name: 'conf' } },
    { name: 'pod', downwardAPI: { items: [{ path: 'name', fieldRef: { fieldPath: 'metadata.name' } }] } },
    { name: 'scratch', emptyDir: {} },
  ];
  const inMemory: Volume = { name: 'memory', emptyDir: { medium: 'Memory', sizeLimit: '64Ki' } };

  /** Whatever moment its deletion comes at. */
  async function live(i: number): Promise<void> {
    const name = `p${i}`;
    const init = { name: 'init', image, command: ['exit', '0'] };
    const all = i % 10 === 0 ? [...volumes, inMemory] : volumes;
    const container = {
      readinessProbe: { exec: { command: ['exit', '0'] } },
      volumeMounts: all.map((volume) => ({ name: volume.name, mountPath: `/v/${volume.name}` })),
    };
    await node.run(name, image, container, { volumes: all, ...(i % 3 === 0 ? { initContainers: [init] } : {}) });
    if (i % 4 === 0) await node.ready(name);
    if (i % 4 === 1) await node.until(name, 'claimed', (pod) => pod?.spec.nodeName !== undefined);
    const options = i % 5 === 0 ? { gracePeriodSeconds: 0 } : {};
    await node.client.delete(PodKind, { namespace: 'default', name }, options);
    await node.until(name, 'gone', (pod) => pod === undefined);
  }

  test('leave nothing: no sandbox, no folder, no mount', async () => {
    let isStorming = true;
    const storm = (async () => {
      for (let level = 1; isStorming; level++) {
        const found = await node.client.get(ConfigMapKind, { namespace: 'default', name: 'conf' });
        if (found) await node.client.update(ConfigMapKind, { ...found, data: { level: `${level}` } });
      }
    })();
    let next = 0;
    const lives = Array.from({ length: atOnce }, async () => {
      while (next < count) await live(next++);
    });
    await Promise.all(lives);
    isStorming = false;
    await storm;
    // What was deleted by force may still be being removed.
    await until(() => machine.sandboxes.size === 0 && readdirSync(join(node.dir, 'node/volumes')).length === 0);
    assert.ok(!readFileSync('/proc/self/mountinfo', 'utf8').includes(node.dir));
  });

  test('that an agent did not come to clean up after are cleaned up after by the next', async () => {
    await node.run(
      'left',
      image,
      { readinessProbe: { exec: { command: ['exit', '0'] } } },
      { volumes: [...volumes, inMemory] },
    );
    await node.ready('left');
    await node.restartAgent({
      stopPods: false,
      meanwhile: () =>
        node.client.delete(PodKind, { namespace: 'default', name: 'left' }, { gracePeriodSeconds: 0 }).then(() => {}),
    });
    await until(() => machine.sandboxes.size === 0 && readdirSync(join(node.dir, 'node/volumes')).length === 0);
    assert.ok(!readFileSync('/proc/self/mountinfo', 'utf8').includes(node.dir));
  });
});
