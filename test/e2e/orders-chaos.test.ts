/** Killing any process during the example loses nothing: orders go in, roles and pods are killed, receipts come out. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { PodKind } from '../../src/api/core/pod.ts';
import { TriggerKind } from '../../src/api/eventing/trigger.ts';
import { ServiceKind } from '../../src/api/serving/service.ts';
import { isReady } from '../kit/conditions.ts';
import { fetchThroughGateway } from '../kit/gateway.ts';
import { eventually, kittiwake, platformOfFile, roleProcesses } from '../kit/platform.ts';

const manifest = fileURLToPath(new URL('../../examples/orders/app.yaml', import.meta.url));
const namespace = 'default';
const services = ['orders', 'receipts', 'ledger', 'collector'];
const order = JSON.stringify({ customer: 'Ada', items: [{ sku: 'tea-1', quantity: 2, priceCents: 450 }] });
const ordersMin = 150;
const clients = 4;

/** Notes the order of each receipt before it answers, so that what it acknowledged was seen. */
const collector = `import { createServer } from 'node:http';
import { appendFileSync } from 'node:fs';
createServer(async (request, response) => {
  let body = '';
  for await (const chunk of request) body += chunk;
  const isReceipt = request.headers['ce-type'] === 'receipt.issued';
  if (isReceipt) appendFileSync(process.env.SEEN, JSON.parse(body).orderId + '\\n');
  response.end();
}).listen(process.env.PORT);
`;

const { dataDir, platform } = await platformOfFile();
const seenFile = join(dataDir, 'seen.txt');

before(async () => {
  writeFileSync(seenFile, '');
  writeFileSync(join(dataDir, 'collector.yaml'), collectorManifest());
  for (const file of [manifest, join(dataDir, 'collector.yaml')]) {
    const applied = await kittiwake(dataDir, 'apply', '-f', file);
    assert.equal(applied.code, 0, applied.stderr);
  }
  await allReady(180_000);
});

function collectorManifest(): string {
  const service = {
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Service',
    metadata: { name: 'collector' },
    spec: {
      build: { source: { files: { 'server.mjs': collector, 'package.json': '{"main": "server.mjs"}' } } },
      template: {
        metadata: { annotations: { 'autoscaling.knative.dev/min-scale': '1' } },
        spec: { containers: [{ image: 'build://output', env: [{ name: 'SEEN', value: seenFile }] }] },
      },
    },
  };
  const trigger = {
    apiVersion: 'eventing.knative.dev/v1',
    kind: 'Trigger',
    metadata: { name: 'collector' },
    spec: {
      broker: 'default',
      filters: [{ exact: { type: 'receipt.issued' } }],
      subscriber: { ref: { apiVersion: 'serving.knative.dev/v1', kind: 'Service', name: 'collector' } },
      delivery: { retry: 5, backoffPolicy: 'exponential', backoffDelay: 'PT0.5S' },
    },
  };
  return [service, trigger].map((object) => JSON.stringify(object)).join('\n---\n');
}

function allReady(timeoutMs: number): Promise<true> {
  return eventually(
    'all services and triggers ready',
    async () => {
      const found = await Promise.all([
        ...services.map((name) => platform.client.get(ServiceKind, { namespace, name })),
        ...['receipts', 'ledger', 'collector'].map((name) => platform.client.get(TriggerKind, { namespace, name })),
      ]);
      return found.every(isReady) || undefined;
    },
    timeoutMs,
  );
}

/** The processes of a service's pods on this platform, each with the folder of its container, which names the pod. */
function podProcesses(service: string): { pid: number; container: string }[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const env = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
        const variable = (name: string) => env.find((pair) => pair.startsWith(`${name}=`))?.slice(name.length + 1);
        const container = variable('KITTIWAKE_CONTAINER');
        return container?.startsWith(dataDir) && variable('K_SERVICE') === service
          ? [{ pid: Number(pid), container }]
          : [];
      } catch {
        return []; // It ended while we looked.
      }
    });
}

function assertNoneRunsTwice(): void {
  const containers = services.flatMap(podProcesses).map(({ container }) => container);
  assert.deepEqual(
    containers.filter((container, i) => containers.indexOf(container) !== i),
    [],
  );
}

/** Several clients place orders until `isOver`; a 202 adds to `accepted`, anything else is no promise. */
async function placeOrders(isOver: () => boolean, accepted: string[]): Promise<void> {
  const client = async () => {
    while (!isOver()) {
      try {
        const reply = await fetchThroughGateway(platform, 'orders', '/orders', { method: 'POST', body: order });
        if (reply.status === 202) accepted.push(JSON.parse(reply.body).id);
      } catch {
        // The connection broke off, or the gateway is not there: no answer, no promise.
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
}

const seenOrders = () => new Set(readFileSync(seenFile, 'utf8').split('\n').filter(Boolean));
const roles = () => roleProcesses(platform.process.pid ?? 0);

async function killRole(role: string): Promise<void> {
  const pid = roles()[role] ?? assert.fail(`no process of ${role}`);
  process.kill(pid, 'SIGKILL');
  await eventually(`a new ${role}`, async () => ((roles()[role] ?? pid) === pid ? undefined : true));
}

async function killPod(service: string): Promise<void> {
  const { pid } = await eventually(`a pod of ${service}`, async () => podProcesses(service)[0]);
  process.kill(pid, 'SIGKILL');
}

test('every order that was answered with 202 has its receipt, whatever was killed meanwhile', async () => {
  const accepted: string[] = [];
  let isOver = false;
  const placing = placeOrders(() => isOver, accepted);
  const kills: [what: string, kill: () => Promise<unknown>][] = [
    ['control', () => killRole('control')],
    ['orders', () => killPod('orders')],
    ['gateway', () => killRole('gateway')],
    ['receipts', () => killPod('receipts')],
    ['broker', () => killRole('broker')],
    ['ledger', () => killPod('ledger')],
    ['control and orders', () => Promise.all([killRole('control'), killPod('orders')])],
    ['gateway and receipts', () => Promise.all([killRole('gateway'), killPod('receipts')])],
    ['broker and ledger', () => Promise.all([killRole('broker'), killPod('ledger')])],
  ];
  try {
    for (const [what, kill] of kills) {
      const enough = accepted.length + Math.ceil(ordersMin / kills.length);
      await eventually(`orders before ${what} is killed`, async () => accepted.length >= enough || undefined, 60_000);
      await kill();
      assertNoneRunsTwice();
    }
    const enough = accepted.length + 10;
    await eventually('orders after the last kill', async () => accepted.length >= enough || undefined, 60_000);
  } finally {
    isOver = true;
    await placing;
  }
  assert.ok(accepted.length >= ordersMin, `${accepted.length} orders were accepted`);
  const missing = () => {
    const seen = seenOrders();
    return accepted.filter((id) => !seen.has(id));
  };
  await eventually('all receipts', async () => missing().length === 0 || undefined, 60_000).catch((error) => {
    const lost = missing();
    throw new Error(`${lost.length} of ${accepted.length} orders have no receipt: ${lost.slice(0, 5)}`, {
      cause: error,
    });
  });
});

test('no pod runs twice, and no process runs without its pod', async () => {
  await eventually('one process for each pod', async () => {
    const { items } = await platform.client.list(PodKind, { namespace });
    const running = services.flatMap(podProcesses);
    for (const { metadata } of items) {
      const own = running.filter(({ container }) => container.includes(metadata.uid ?? ''));
      assert.equal(own.length, 1, `processes of ${metadata.name}: ${own.map(({ pid }) => pid)}`);
    }
    assert.equal(running.length, items.length);
    return true;
  });
});

test('the platform is healthy afterwards: all is ready, and one more order goes through', async () => {
  await allReady(30_000);
  const reply = await fetchThroughGateway(platform, 'orders', '/orders', { method: 'POST', body: order });
  assert.equal(reply.status, 202, reply.body);
  const { id } = JSON.parse(reply.body);
  await eventually('its receipt', async () => seenOrders().has(id) || undefined);
});
