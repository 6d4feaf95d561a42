import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ensureNamespace } from '../../../test/world.ts';
import { type Deployment, DeploymentKind } from '../../api/apps/deployment.ts';
import { type ConfigMap, ConfigMapKind } from '../../api/core/config-map.ts';
import { NodeKind } from '../../api/core/node.ts';
import { referenceTo } from '../../api/kind.ts';
import { startListener } from '../../cluster/apiserver/http/listener.ts';
import { openApiServer } from '../../cluster/apiserver/index.ts';
import { defineOctopodes, OctopusKind, octopus } from '../../cluster/apiserver/testing/octopodes.ts';
import { systemClock } from '../../lib/clock.ts';
import { silentLogger } from '../../observe/log.ts';
import type { Client } from '../client.ts';
import { Informer } from '../informer.ts';
import { getIfServed } from '../kinds.ts';
import { httpClient } from './http-client.ts';

interface Served {
  /** Over TLS, with the administrator's certificate. */
  remote: Client;
  /** Not over the network: works while the server does not listen. */
  local: Client;
  /** Stops listening, lets `meanwhile` happen, and listens on the same port again. */
  away(meanwhile: () => Promise<void>): Promise<void>;
}

async function withApiServer(use: (served: Served) => Promise<void>): Promise<void> {
  const common = { dataDir: await mkdtemp(join(tmpdir(), 'kittiwake-http-')), clock: systemClock, log: silentLogger };
  const server = await openApiServer({ ...common, kinds: [] });
  const listen = (port: number) => startListener({ ...common, pipeline: server.pipeline, port });
  let listener = await listen(0);
  try {
    await ensureNamespace(server.client, 'default');
    await use({
      remote: httpClient({ kubeconfigPath: listener.kubeconfigPath }),
      local: server.client,
      async away(meanwhile) {
        await listener.stop();
        await meanwhile();
        listener = await listen(Number(new URL(listener.url).port));
      },
    });
  } finally {
    await listener.stop();
    await server.stop();
    await rm(common.dataDir, { recursive: true, force: true });
  }
}

const configMap = (name: string, data: Record<string, string> = {}): ConfigMap => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'default' },
  data,
});
const key = { namespace: 'default', name: 'a' };

test('which kinds there are is asked of the server', async () => {
  await withApiServer(async ({ remote, local }) => {
    const reference = referenceTo(octopus('a'));
    assert.equal(await local.kindOf(reference), undefined);
    await defineOctopodes(local);
    for (const client of [remote, local]) {
      const kind = await client.kindOf(reference);
      assert.ok(kind);
      assert.deepEqual([kind.plural, kind.isNamespaced], ['octopodes', true]);
    }
    await local.create(OctopusKind, octopus('a'));
    assert.equal((await getIfServed(remote, reference, key))?.metadata.name, 'a');
    assert.equal(await getIfServed(remote, { ...reference, kind: 'Squid' }, key), undefined);
    const node = { ...(await local.create(NodeKind, { apiVersion: 'v1', kind: 'Node', metadata: { name: 'a' } })) };
    assert.deepEqual(await getIfServed(remote, referenceTo(node), key), node, 'nodes are in no namespace');
  });
});

test('an object lives through the whole of its life over TLS', async () => {
  await withApiServer(async ({ remote }) => {
    const created = await remote.create(ConfigMapKind, configMap('a', { x: '1' }));
    assert.deepEqual(await remote.get(ConfigMapKind, key), created);
    const updated = await remote.update(ConfigMapKind, { ...created, data: { x: '2' } });
    await assert.rejects(remote.update(ConfigMapKind, { ...created, data: { x: '3' } }), { reason: 'Conflict' });
    await assert.rejects(remote.create(ConfigMapKind, configMap('a')), { reason: 'AlreadyExists' });
    const patched = await remote.patch(ConfigMapKind, key, { type: 'merge', patch: { data: { y: '3' } } });
    assert.deepEqual(patched.data, { x: '2', y: '3' });
    assert.notEqual(patched.metadata.resourceVersion, updated.metadata.resourceVersion);
    const { items } = await remote.list(ConfigMapKind, { fieldSelector: 'metadata.name=a' });
    assert.deepEqual(items, [patched]);
    await remote.delete(ConfigMapKind, key);
    await remote.delete(ConfigMapKind, key);
    assert.equal(await remote.get(ConfigMapKind, key), undefined);
  });
});

test('scale and status are subresources over TLS, too', async () => {
  await withApiServer(async ({ remote }) => {
    const deployment: Deployment = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { ...key },
      spec: {
        selector: { matchLabels: { app: 'a' } },
        template: { metadata: { labels: { app: 'a' } }, spec: { containers: [{ name: 'c', image: 'i:1' }] } },
      },
    };
    await remote.create(DeploymentKind, deployment);
    await remote.scale(DeploymentKind, key, 4);
    const scaled = await remote.get(DeploymentKind, key);
    assert.equal(scaled?.spec.replicas, 4);
    assert.ok(scaled);
    const reported = await remote.update(DeploymentKind, { ...scaled, status: { replicas: 3 } }, 'status');
    assert.equal(reported.status?.replicas, 3);
    assert.equal(reported.metadata.generation, scaled.metadata.generation);
  });
});

test('an informer keeps its copy while the server is away, and catches up when it is back', async () => {
  await withApiServer(async ({ remote, local, away }) => {
    for (const name of ['a', 'b']) await local.create(ConfigMapKind, configMap(name));
    const informer = new Informer(remote, ConfigMapKind, {
      namespace: 'default',
      clock: systemClock,
      log: silentLogger,
    });
    const changed = { wake: () => {} };
    informer.onChange(() => changed.wake());
    const until = async (names: string) => {
      const known = () => informer.list().map((object) => object.metadata.name);
      while (known().sort().join() !== names) await new Promise<void>((resolve) => (changed.wake = resolve));
    };
    informer.start();
    try {
      await informer.synced;
      await until('a,b');
      await away(async () => {
        assert.equal(informer.list().length, 2);
        await local.delete(ConfigMapKind, key);
        await local.create(ConfigMapKind, configMap('c'));
      });
      await until('b,c');
    } finally {
      await informer.stop();
    }
  });
});
