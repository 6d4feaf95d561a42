/** The main job, on examples/orders: source → image → revision → first request from zero → events → back to zero. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { BuildKind } from '../../src/api/build/build.ts';
import { PodKind } from '../../src/api/core/pod.ts';
import type { Kind } from '../../src/api/kind.ts';
import { RevisionKind } from '../../src/api/serving/revision.ts';
import { ServiceKind } from '../../src/api/serving/service.ts';
import { PingSourceKind } from '../../src/api/sources/ping-source.ts';
import { isReady } from '../kit/conditions.ts';
import { fetchThroughGateway } from '../kit/gateway.ts';
import { eventually, kittiwake, platformOfFile } from '../kit/platform.ts';

const manifest = fileURLToPath(new URL('../../examples/orders/app.yaml', import.meta.url));
const namespace = 'default';
const services = ['orders', 'receipts', 'ledger'];
const order = { customer: 'Ada', items: [{ sku: 'tea-1', quantity: 2, priceCents: 450 }] };

const { dataDir, platform } = await platformOfFile();

const podsOf = async (name: string) =>
  (await platform.client.list(PodKind, { namespace, labelSelector: `serving.knative.dev/service=${name}` })).items;
const allAtZero = () =>
  eventually(
    'all services at zero',
    async () => {
      const counts = await Promise.all(services.map(async (name) => (await podsOf(name)).length));
      return counts.every((count) => count === 0) ? true : undefined;
    },
    60_000,
  );

test('kittiwake apply uploads the folders of app.yaml and creates every object', async () => {
  const applied = await kittiwake(dataDir, 'apply', '-f', manifest);
  assert.equal(applied.code, 0, applied.stderr);
  assert.match(applied.stdout, /source of orders uploaded as sha256:/);
  assert.match(applied.stdout, /service.serving.knative.dev\/orders created/);
  const again = await kittiwake(dataDir, 'apply', '-f', manifest);
  assert.doesNotMatch(again.stdout, /created|configured/, 'applying the same again changes nothing');
});

test('each service is built to a digest in the registry, and its revision is pinned to it', async () => {
  for (const name of services) {
    const service = await eventually(
      `${name} ready`,
      async () => {
        const found = await platform.client.get(ServiceKind, { namespace, name });
        return isReady(found) ? found : undefined;
      },
      180_000,
    );
    const revisionName = service.status?.latestReadyRevisionName ?? '';
    const revision = await platform.client.get(RevisionKind, { namespace, name: revisionName });
    const { items } = await platform.client.list(BuildKind, { namespace });
    const build = items.find((b) => b.metadata.ownerReferences?.[0]?.name === name);
    assert.match(build?.status?.output?.image ?? '', /^registry\.localhost\/default\/.+@sha256:[0-9a-f]{64}$/);
    assert.equal(revision?.spec.containers[0]?.image, build?.status?.output?.image);
    const [, repository, digest] = /^registry\.localhost\/(.+)@(.+)$/.exec(build?.status?.output?.image ?? '') ?? [];
    const pulled = await fetch(`${platform.addresses.registryUrl}/v2/${repository}/manifests/${digest}`);
    assert.equal(pulled.status, 200);
  }
});

test('a request to a service at zero wakes it, and its event runs through both triggers from zero', async () => {
  await allAtZero();
  const followed = new AbortController();
  const ledger = spawn(
    fileURLToPath(new URL('../../bin/kittiwake', import.meta.url)),
    ['--data-dir', dataDir, 'logs', 'ledger', '--follow'],
    { stdio: ['ignore', 'pipe', 'inherit'], signal: followed.signal },
  );
  ledger.on('error', () => {}); // The abort that ends it.
  let printed = '';
  ledger.stdout.on('data', (chunk) => {
    printed += chunk;
  });

  const reply = await fetchThroughGateway(platform, 'orders', '/orders', {
    method: 'POST',
    body: JSON.stringify(order),
  });
  assert.equal(reply.status, 202, reply.body);
  const { id } = JSON.parse(reply.body);
  await eventually(
    'the ledger has booked the order',
    async () => printed.includes(`booked 9.00 EUR from Ada for order ${id}`) || undefined,
  );
  followed.abort();
});

test('an invalid order gets a clear answer and emits nothing', async () => {
  const body = JSON.stringify({ customer: '', items: [] });
  const reply = await fetchThroughGateway(platform, 'orders', '/orders', { method: 'POST', body });
  assert.equal(reply.status, 422);
  assert.deepEqual(
    JSON.parse(reply.body).problems.map((p: string) => p.split(':')[0]),
    ['customer', 'items'],
  );
});

test('all services go back to zero when nothing happens', async () => {
  await allAtZero();
});

test('the nightly PingSource is ready and knows its sink', async () => {
  const source = await eventually('ready', async () => {
    const found = await platform.client.get(PingSourceKind, { namespace, name: 'nightly' });
    return isReady(found) ? found : undefined;
  });
  assert.match(source.status?.sinkUri ?? '', /\/default\/default$/);
});

test('kittiwake delete -f removes it all, and no pod, build or revision is left', async () => {
  const deleted = await kittiwake(dataDir, 'delete', '-f', manifest);
  assert.equal(deleted.code, 0, deleted.stderr);
  await eventually('everything gone', async () => {
    const lists = await Promise.all(
      ([ServiceKind, RevisionKind, BuildKind, PodKind] as Kind[]).map((kind) =>
        platform.client.list(kind, { namespace }),
      ),
    );
    return lists.every(({ items }) => items.length === 0) ? true : undefined;
  });
});
