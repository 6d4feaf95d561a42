import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { PodKind } from '../../../api/core/pod.ts';
import { defineKind } from '../../../api/kind.ts';
import { anything, object } from '../../../api/schema.ts';
import { systemClock } from '../../../lib/clock.ts';
import { silentLogger } from '../../../observe/log.ts';
import type { PodUsage } from '../../pod-usage.ts';
import { openApiServer } from '../index.ts';

const schema = object({ window: anything(), containers: anything() });
const metrics = defineKind({ group: 'metrics.k8s.io', version: 'v1beta1', kind: 'PodMetrics', plural: 'pods', schema });

test('what pods use is read as metrics.k8s.io has it, by namespace, name and label, and never written', async (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), 'kittiwake-usage-'));
  const pods = new Map<string, PodUsage>();
  const usage = { read: async () => ({ pods, node: undefined }) };
  const api = await openApiServer({ dataDir, clock: systemClock, log: silentLogger, kinds: [], usage });
  t.after(async () => {
    await api.stop();
    rmSync(dataDir, { recursive: true, force: true });
  });
  const { client } = api;
  for (const [namespace, name] of [
    ['default', 'a'],
    ['default', 'b'],
    ['kube-system', 'c'],
    ['default', 'silent'],
  ] as const) {
    const pod = await client.create(PodKind, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace, labels: { app: name } },
      spec: { containers: [{ name: 'web', image: 'i' }] },
    });
    const containers = [{ name: 'web', cpuNanocores: 1_500_000, memoryBytes: 2_000_001 }];
    if (name !== 'silent') pods.set(pod.metadata.uid ?? '', { atMs: 0, windowMs: 15_250, containers });
  }
  const names = async (options: Parameters<typeof client.list>[1]) =>
    (await client.list(metrics, options)).items.map(({ metadata }) => metadata.name);
  assert.deepEqual(await names({}), ['a', 'b', 'c']);
  assert.deepEqual(await names({ namespace: 'default' }), ['a', 'b']);
  assert.deepEqual(await names({ namespace: 'default', labelSelector: 'app in (b,c)' }), ['b']);
  const found = await client.get(metrics, { namespace: 'default', name: 'a' });
  assert.deepEqual(found, {
    apiVersion: 'metrics.k8s.io/v1beta1',
    kind: 'PodMetrics',
    metadata: { name: 'a', namespace: 'default', labels: { app: 'a' }, creationTimestamp: '1970-01-01T00:00:00Z' },
    timestamp: '1970-01-01T00:00:00Z',
    window: '15.25s',
    containers: [{ name: 'web', usage: { cpu: '1500000n', memory: '1954Ki' } }],
  });
  assert.equal(await client.get(metrics, { namespace: 'default', name: 'silent' }), undefined);
  await assert.rejects(client.delete(metrics, { namespace: 'default', name: 'a' }), /does not allow this method/);
});
