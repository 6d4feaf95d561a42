/**
 * An unknown defect that ends or hangs a role each time that it meets one event, request or image: the role dies twice
 * of it, leaves exactly that alone from its third start on, says so, does all the rest, and gets it back once it is
 * mended.
 */
import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { BuildKind } from '../../src/api/build/build.ts';
import { BrokerKind } from '../../src/api/eventing/broker.ts';
import { TriggerKind } from '../../src/api/eventing/trigger.ts';
import { ServiceKind } from '../../src/api/serving/service.ts';
import { listSetAside } from '../../src/server/quarantine-files.ts';
import { listRestarts } from '../../src/server/restarts.ts';
import type { RoleName } from '../../src/server/roles.ts';
import { conditionOf, isReady } from '../kit/conditions.ts';
import { fetchThroughGateway } from '../kit/gateway.ts';
import { eventually, kittiwake, newDataDir, startTestPlatform, type TestPlatform } from '../kit/platform.ts';

const { dataDir, remove } = newDataDir();
const fault = join(dataDir, 'fault');
const delivered = new Map<string, number>();
/** A hang is noticed after ten seconds, and after sixty in a broker that is starting. */
const setAsideWithinMs = 150_000;
const metadata = { name: 'default', namespace: 'default' };
let platform: TestPlatform;
let subscriber: Server;

before(async () => {
  subscriber = createServer((request, response) => {
    const id = String(request.headers['ce-id']);
    delivered.set(id, (delivered.get(id) ?? 0) + 1);
    response.writeHead(204).end();
  });
  await new Promise<void>((resolve) => subscriber.listen(0, '127.0.0.1', resolve));
  const planted = new URL('../kit/planted-fault.ts', import.meta.url).href;
  process.env.NODE_OPTIONS = `${process.env.NODE_OPTIONS ?? ''} --import=${planted}`;
  process.env.PLANTED_FAULT = fault;
  platform = await startTestPlatform(dataDir);
  const { client } = platform;
  await client.create(BrokerKind, { apiVersion: 'eventing.knative.dev/v1', kind: 'Broker', metadata, spec: {} });
  const uri = `http://127.0.0.1:${(subscriber.address() as AddressInfo).port}/`;
  const spec = { broker: 'default', subscriber: { uri } };
  await client.create(TriggerKind, { apiVersion: 'eventing.knative.dev/v1', kind: 'Trigger', metadata, spec });
  await eventually('the trigger ready', async () => isReady(await client.get(TriggerKind, metadata)) || undefined);
});
after(async () => {
  await platform.stop();
  subscriber.close();
  subscriber.closeAllConnections();
  remove();
});

const plant = (word: string) => writeFileSync(fault, word);
const mend = () => rmSync(fault);

/** The entries of a role, once there is one. */
const setAsideOf = (role: RoleName) =>
  eventually(
    `something of ${role} is set aside`,
    async () => {
      const entries = listSetAside(dataDir, role);
      return entries.length > 0 ? entries : undefined;
    },
    setAsideWithinMs,
  );

const restartsOf = (role: RoleName) => listRestarts(dataDir).filter((restart) => restart.role === role).length;

async function send(id: string): Promise<void> {
  const headers = { 'ce-specversion': '1.0', 'ce-id': id, 'ce-source': '/test', 'ce-type': 'test' };
  await eventually(`${id} accepted`, async () => {
    const { status } = await fetch(`${platform.addresses.brokerUrl}/default/default`, { method: 'POST', headers });
    return status === 202 ? true : undefined;
  });
}

const isDelivered = (id: string) => eventually(`${id} delivered`, async () => delivered.has(id) || undefined);

async function metricOf(role: RoleName): Promise<string | undefined> {
  const text = await (await fetch(platform.addresses.metricsUrls[role] ?? '')).text();
  return /^kittiwake_set_aside\S* (\d+)$/m.exec(text)?.[1];
}

/** What status, metric and release say of the one thing that is set aside; then it is mended and given back. */
async function giveBack(role: RoleName, name: string): Promise<void> {
  const { code, stdout } = await kittiwake(dataDir, 'status');
  assert.equal(code, 2, stdout);
  assert.ok(stdout.includes(`${role}: ${name}, 2 times`), stdout);
  assert.ok(stdout.includes(`kittiwake release ${role} '${name}'`), stdout);
  await eventually('the metric', async () => ((await metricOf(role)) === '1' ? true : undefined));
  mend();
  const released = await kittiwake(dataDir, 'release', role, name);
  assert.equal(released.code, 0, released.stderr);
  assert.deepEqual(listSetAside(dataDir), []);
}

describe('an event', () => {
  for (const how of ['crash', 'abort', 'hang']) {
    test(`whose delivery ends the broker (${how}) is set aside, and those beside it are delivered`, async () => {
      const restartsBefore = restartsOf('broker');
      plant(how);
      // A name that ends in a space has to be found again, too.
      const culprit = `${how} `;
      const others = Array.from({ length: 20 }, (_, i) => `${how.slice(1)}-beside-${i}`);
      await Promise.all([...others.slice(10), encodeURIComponent(culprit), ...others.slice(0, 10)].map(send));
      const [entry, ...more] = await setAsideOf('broker');
      assert.equal(entry?.name, `event default/default default /test ${how}`);
      assert.deepEqual(more, []);
      for (const id of others) await isDelivered(id);
      assert.equal(restartsOf('broker') - restartsBefore, 2);
      await send(`${how.slice(1)}-later`);
      await isDelivered(`${how.slice(1)}-later`);
      assert.equal(delivered.has(encodeURIComponent(culprit)), false);
      const condition = async () =>
        conditionOf(await platform.client.get(TriggerKind, metadata), 'EventsDelivered')?.message ?? '';
      await eventually('the condition', async () => (await condition()).includes(entry.name) || undefined);
      await giveBack('broker', entry.name);
      await isDelivered(encodeURIComponent(culprit));
      await eventually('its end', async () => (await condition()) === '' || undefined);
      assert.equal(restartsOf('broker') - restartsBefore, 2, 'nothing was started again for it');
    });
  }
});

describe('a request', () => {
  for (const how of ['crash', 'abort']) {
    test(`that ends the gateway (${how}) is answered 503, and no other is`, async () => {
      const restartsBefore = restartsOf('gateway');
      plant(how);
      const ask = (host: string) =>
        fetchThroughGateway(platform, '', '/path?query', { host }).then(
          ({ status, body }) => ({ status, body }),
          () => ({ status: 0, body: '' }), // Its gateway has died.
        );
      const answer = await eventually('the 503', async () => {
        const { status, body } = await ask(`${how}.example`);
        return status === 503 ? body : undefined;
      });
      assert.match(answer, /kittiwake release gateway/);
      const entries = listSetAside(dataDir, 'gateway');
      assert.deepEqual(
        entries.map(({ name }) => name),
        [`GET ${how}.example /path`],
      );
      // What a gateway that has died before is at is written down: the next culprit is known at once.
      assert.ok(restartsOf('gateway') - restartsBefore <= 2);
      assert.equal((await ask('other.example')).status, 404);
      await giveBack('gateway', `GET ${how}.example /path`);
      await eventually('its own answer', async () => (await ask(`${how}.example`)).status === 404 || undefined);
    });
  }
});

test('an image that ends the control process is set aside, its revision says so, and others come up', async () => {
  const { client } = platform;
  const restartsBefore = restartsOf('control');
  plant('crash');
  const service = (name: string, image: string) => ({
    apiVersion: 'serving.knative.dev/v1' as const,
    kind: 'Service' as const,
    metadata: { name, namespace: 'default' },
    spec: { template: { spec: { containers: [{ name: '', image }] } } },
  });
  await client.create(ServiceKind, service('culprit', 'registry.localhost/crash:1'));
  const entries = await setAsideOf('control');
  assert.deepEqual(
    entries.map(({ name }) => name),
    ['image registry.localhost/crash:1'],
  );
  await eventually('an answer of the API', async () =>
    client.create(ServiceKind, service('other', 'registry.localhost/none:1')),
  );
  const readyOf = async (name: string) =>
    conditionOf(await client.get(ServiceKind, { namespace: 'default', name }), 'Ready')?.message;
  await eventually('the reason', async () => /set aside/.test((await readyOf('culprit')) ?? '') || undefined);
  await eventually('its own reason', async () => /Unable to fetch/.test((await readyOf('other')) ?? '') || undefined);
  assert.equal(restartsOf('control') - restartsBefore, 2);
  await giveBack('control', 'image registry.localhost/crash:1');
  await eventually('the image is asked for', async () => {
    const message = (await readyOf('culprit')) ?? '';
    return !/set aside/.test(message) && /Unable to fetch/.test(message) ? true : undefined;
  });
});

test('a build that ends its own process is set aside and says so, and the control process is not touched', async () => {
  const { client } = platform;
  const restartsBefore = restartsOf('control');
  plant('crash');
  const create = (name: string) =>
    client.create(BuildKind, {
      apiVersion: 'build.knative.dev/v1alpha1',
      kind: 'Build',
      metadata: { name, namespace: 'default' },
      spec: { source: { files: { 'index.js': 'exports.handle = () => 1;' } } },
    });
  const ended = (name: string) =>
    eventually(`${name} ended`, async () => {
      const build = await client.get(BuildKind, { namespace: 'default', name });
      const condition = conditionOf(build, 'Succeeded');
      return condition && condition.status !== 'Unknown' ? condition : undefined;
    });
  await Promise.all([create('crash'), create('fine')]);
  assert.equal((await ended('fine')).status, 'True');
  const { status, message } = await ended('crash');
  assert.equal(status, 'False');
  assert.match(message ?? '', /process ended \(exit code 1.*planted.*is set aside.*kittiwake release/);
  const entries = listSetAside(dataDir, 'control');
  assert.deepEqual(
    entries.map(({ name }) => name),
    ['building default/crash'],
  );
  assert.equal(restartsOf('control') - restartsBefore, 0);
  await giveBack('control', 'building default/crash');
  await eventually('the role has heard of it', async () => ((await metricOf('control')) === '0' ? true : undefined));
  await client.delete(BuildKind, { namespace: 'default', name: 'crash' });
  await create('crash');
  assert.equal((await ended('crash')).status, 'True');
});
