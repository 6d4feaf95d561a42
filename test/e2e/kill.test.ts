/** `kill -9` of any process at any moment: what was acknowledged is there afterwards, and no pod runs twice. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { ConfigMapKind } from '../../src/api/core/config-map.ts';
import { TriggerKind } from '../../src/api/eventing/trigger.ts';
import { ServiceKind } from '../../src/api/serving/service.ts';
import { isReady } from '../kit/conditions.ts';
import { fetchThroughGateway } from '../kit/gateway.ts';
import { eventually, kittiwake, platformOfFile, roleProcesses, startTestPlatform } from '../kit/platform.ts';

const collector = `import { createServer } from 'node:http';
import { appendFileSync } from 'node:fs';
createServer((request, response) => {
  if (request.headers['ce-id']) appendFileSync(process.env.SEEN, request.headers['ce-id'] + '\\n');
  response.end(String(process.pid));
}).listen(process.env.PORT);
`;

const { dataDir, ...first } = await platformOfFile();
let { platform } = first;
const seenFile = join(dataDir, 'seen.txt');

before(async () => {
  writeFileSync(seenFile, '');
  writeFileSync(join(dataDir, 'app.yaml'), manifest());
  const applied = await kittiwake(dataDir, 'apply', '-f', join(dataDir, 'app.yaml'));
  assert.equal(applied.code, 0, applied.stderr);
  await eventually(
    'all ready',
    async () => {
      const service = await platform.client.get(ServiceKind, { namespace: 'default', name: 'collector' });
      const trigger = await platform.client.get(TriggerKind, { namespace: 'default', name: 'all' });
      return isReady(service) && isReady(trigger) ? true : undefined;
    },
    60_000,
  );
});

function manifest(): string {
  const objects = [
    { apiVersion: 'eventing.knative.dev/v1', kind: 'Broker', metadata: { name: 'default' } },
    {
      apiVersion: 'serving.knative.dev/v1',
      kind: 'Service',
      metadata: { name: 'collector' },
      spec: {
        build: { source: { files: { 'server.mjs': collector, 'package.json': '{"main": "server.mjs"}' } } },
        template: {
          metadata: {
            annotations: { 'autoscaling.knative.dev/min-scale': '1', 'autoscaling.knative.dev/max-scale': '1' },
          },
          spec: { containers: [{ image: 'build://output', env: [{ name: 'SEEN', value: seenFile }] }] },
        },
      },
    },
    {
      apiVersion: 'eventing.knative.dev/v1',
      kind: 'Trigger',
      metadata: { name: 'all' },
      spec: {
        broker: 'default',
        subscriber: { ref: { apiVersion: 'serving.knative.dev/v1', kind: 'Service', name: 'collector' } },
        delivery: { retry: 20, backoffPolicy: 'exponential', backoffDelay: 'PT0.1S' },
      },
    },
  ];
  return objects.map((object) => JSON.stringify(object)).join('\n---\n');
}

/** The processes on this machine that run the collector of this test. */
function collectorProcesses(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`SEEN=${seenFile}`);
      } catch {
        return false; // It ended while we looked.
      }
    })
    .map(Number);
}

const roles = () => roleProcesses(platform.process.pid ?? 0);

async function killed(role: string, during: () => Promise<unknown>): Promise<void> {
  const pid = roles()[role] ?? assert.fail(`no process of ${role}`);
  process.kill(pid, 'SIGKILL');
  await during();
  await eventually(`a new ${role}`, async () => ((roles()[role] ?? pid) === pid ? undefined : true));
}

test('with the control plane killed, requests go on being served by the same pod, which is found again', async () => {
  const before = (await fetchThroughGateway(platform, 'collector')).body;
  await killed('control', async () => {
    for (let i = 0; i < 20; i++) assert.equal((await fetchThroughGateway(platform, 'collector')).body, before);
  });
  await eventually('the API answers', async () =>
    platform.client.get(ServiceKind, { namespace: 'default', name: 'collector' }),
  );
  assert.equal((await fetchThroughGateway(platform, 'collector')).body, before);
  assert.equal(collectorProcesses().length, 1);
});

test('every object acknowledged before the control plane is killed is there afterwards', async () => {
  const names: string[] = [];
  let isOver = false;
  const writing = (async () => {
    for (let i = 0; !isOver; i++) {
      const name = `kept-${i}`;
      const map = {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name, namespace: 'default' },
        data: { i: String(i) },
      };
      try {
        await platform.client.create(ConfigMapKind, map);
        names.push(name);
      } catch {
        return; // The server was killed: what it did not answer is not promised.
      }
    }
  })();
  await eventually('some were written', async () => (names.length > 50 ? true : undefined));
  await killed('control', () => {
    isOver = true; // A kill between two requests fails none: the next waits for the server that follows.
    return writing;
  });
  const { items } = await eventually('the API answers', () =>
    platform.client.list(ConfigMapKind, { namespace: 'default' }),
  );
  const found = new Set(items.map((map) => map.metadata.name));
  assert.deepEqual(
    names.filter((name) => !found.has(name)),
    [],
  );
});

test('every event accepted before the broker is killed is delivered afterwards', async () => {
  const accepted: string[] = [];
  let isOver = false;
  const sending = Promise.all(
    [0, 1, 2, 3].map(async (lane) => {
      for (let i = 0; !isOver; i++) {
        const id = `${lane}-${i}`;
        const headers = { 'ce-specversion': '1.0', 'ce-id': id, 'ce-type': 'test', 'ce-source': '/test' };
        try {
          const reply = await fetch(`${platform.addresses.brokerUrl}/default/default`, { method: 'POST', headers });
          if (reply.status === 202) accepted.push(id);
        } catch {
          return; // The broker was killed: what it did not answer is not promised.
        }
      }
    }),
  );
  await eventually('some were accepted', async () => (accepted.length > 200 ? true : undefined));
  await killed('broker', () => sending);
  isOver = true;
  await eventually(
    'all are delivered',
    async () => {
      const seen = new Set(readFileSync(seenFile, 'utf8').split('\n'));
      return accepted.every((id) => seen.has(id)) ? true : undefined;
    },
    60_000,
  );
});

test('a killed gateway is started again, and requests are served', async () => {
  await killed('gateway', async () => {});
  const reply = await eventually('an answer', () => fetchThroughGateway(platform, 'collector'));
  assert.equal(reply.status, 200);
});

test('a killed pod is replaced by one', async () => {
  const [pid] = collectorProcesses();
  process.kill(pid ?? 0, 'SIGKILL');
  await eventually('another process', async () => {
    const [now, ...more] = collectorProcesses();
    assert.deepEqual(more, []);
    return now !== undefined && now !== pid ? true : undefined;
  });
  await eventually('an answer', async () =>
    (await fetchThroughGateway(platform, 'collector')).status === 200 ? true : undefined,
  );
});

test('after the supervisor is killed, the next start has everything and runs each pod once', async () => {
  platform.process.kill('SIGKILL');
  platform = await eventually('another start', () => startTestPlatform(dataDir));
  await eventually('an answer', async () =>
    (await fetchThroughGateway(platform, 'collector')).status === 200 ? true : undefined,
  );
  assert.equal(collectorProcesses().length, 1);
});

test('Ctrl-C leaves no pod, even when the control process was killed just before', async () => {
  process.kill(roleProcesses(platform.process.pid ?? 0).control ?? 0, 'SIGKILL');
  await platform.stop();
  assert.deepEqual(collectorProcesses(), []);
});
