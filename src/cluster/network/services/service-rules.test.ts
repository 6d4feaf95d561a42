import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CoreServiceKind } from '../../../api/core/service.ts';
import type { ServiceSpec } from '../../../api/core/service-spec.ts';
import { type Endpoint, EndpointSliceKind, serviceNameLabel } from '../../../api/discovery/endpoint-slice.ts';
import { systemClock as clock } from '../../../lib/clock.ts';
import { afterwards } from '../../../lib/testing/afterwards.ts';
import { temporaryFolder } from '../../../lib/testing/temporary-folder.ts';
import { until } from '../../../lib/testing/until.ts';
import { silentLogger as log } from '../../../observe/log.ts';
import { type ApiServer, openApiServer } from '../../apiserver/index.ts';
import { setUpGateway } from '../gateway.ts';
import { inOwnNetwork } from '../testing/own-network.ts';
import { shell, type TestPlatform, testPlatform, testPod } from '../testing/test-platform.ts';
import { type TestProgram, testProgram } from '../testing/test-pod.ts';
import { serviceTable } from './ruleset.ts';
import { ServiceRules } from './service-rules.ts';

type Scope = Parameters<typeof afterwards>[0];

interface World extends TestPlatform {
  api: ApiServer;
  rules: ServiceRules;
  host: TestProgram;
}

async function world(t: Scope): Promise<World> {
  const platform = testPlatform(t);
  const api = await openApiServer({ dataDir: temporaryFolder(t), clock, log, kinds: [] });
  afterwards(t, () => api.stop());
  await setUpGateway(platform.plan);
  const rules = rulesOn(t, platform, api);
  await rules.start();
  return { ...platform, api, rules, host: testProgram(t, 'host') };
}

function rulesOn(t: Scope, { plan }: TestPlatform, api: ApiServer): ServiceRules {
  const rules = new ServiceRules({ client: api.client, plan, nodeName: 'local', clock, log });
  afterwards(t, () => rules.stop());
  return rules;
}

async function service(api: ApiServer, name: string, spec: ServiceSpec): Promise<string> {
  const made = await api.client.create(CoreServiceKind, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'default' },
    spec,
  });
  return made.spec.clusterIP ?? '';
}

type End = string | { ip: string; port?: number; conditions?: Endpoint['conditions']; node?: string };

/** Writes the Service's slice: each port of these leads to 80 of the endpoints, unless they say another. */
async function endpoints(api: ApiServer, name: string, ends: End[], ports: [string, 'TCP' | 'UDP', number?][]) {
  const key = { namespace: 'default', name: `${name}-1` };
  const old = await api.client.get(EndpointSliceKind, key);
  const all = ends.map((end) => (typeof end === 'string' ? { ip: end } : end));
  const slice = {
    ...(old ?? { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', addressType: 'IPv4' as const }),
    metadata: { ...old?.metadata, ...key, labels: { [serviceNameLabel]: name } },
    endpoints: all.map(({ ip, conditions = { ready: true }, node = 'local' }) => ({
      addresses: [ip],
      conditions,
      nodeName: node,
    })),
    ports: ports.map(([port, protocol, number = 80]) => ({ name: port, port: number, protocol })),
  };
  await (old ? api.client.update(EndpointSliceKind, slice) : api.client.create(EndpointSliceKind, slice));
}

const tcp = { port: 80, protocol: 'TCP' } as const;

/** Asks until it is answered so. */
function answers(from: TestProgram, host: string, port: number, expected: RegExp, protocol: 'tcp' | 'udp' = 'tcp') {
  let last = '';
  const ask = async () => {
    last = await from.ask(host, port, { protocol, limitMs: 300 }).catch((error) => String(error.message));
    return expected.test(last) ? last : undefined;
  };
  return until(ask, () => `${host}:${port} answers ${expected}: ${last}`);
}

inOwnNetwork(import.meta.url, () => {
  test('a Service’s address leads to its endpoints, from pods, the host and an endpoint itself', async (t) => {
    const { api, network, plan, host } = await world(t);
    const platform = { network, plan };
    const [a, b, client] = await Promise.all(['a', 'b', 'client'].map((name) => testPod(t, platform, name)));
    assert.ok(a && b && client);
    const ip = await service(api, 'web', {
      ports: [
        { name: 'http', ...tcp },
        { name: 'dns', port: 53, protocol: 'UDP' },
      ],
    });
    await answers(client, ip, 80, /^ECONNREFUSED$/);
    await answers(host, ip, 80, /^ECONNREFUSED$/);
    await endpoints(
      api,
      'web',
      [a.ip, b.ip],
      [
        ['http', 'TCP'],
        ['dns', 'UDP'],
      ],
    );
    for (const name of ['a', 'b']) {
      await answers(client, ip, 80, new RegExp(`^${name} ${client.ip}$`));
      await answers(client, ip, 53, new RegExp(`^${name} ${client.ip}$`), 'udp');
      await answers(host, ip, 80, new RegExp(`^${name} ${plan.gatewayAddress}$`));
    }
    await answers(a, ip, 80, new RegExp(`^a ${plan.gatewayAddress}$`));
    await answers(a, ip, 80, new RegExp(`^b ${a.ip}$`));
    await answers(client, ip, 81, /^ECONNREFUSED$/);
    await endpoints(api, 'web', [b.ip], [['http', 'TCP']]);
    await answers(client, ip, 53, /^ECONNREFUSED$/, 'udp');
    for (let i = 0; i < 8; i++) assert.equal(await client.ask(ip, 80), `b ${client.ip}`);
    await api.client.delete(CoreServiceKind, { namespace: 'default', name: 'web' });
    await answers(client, ip, 80, /^ECONNREFUSED$/);
    assert.doesNotMatch(shell(`nft list table ip ${serviceTable(plan)}`), /svc-[^ ]*web/);
  });

  test('a node port and an external address lead there, too; a loopback endpoint serves them all', async (t) => {
    const { api, network, plan, host } = await world(t);
    const [a, client] = [await testPod(t, { network, plan }, 'a'), await testPod(t, { network, plan }, 'client')];
    await host.listen(7070, { host: '127.0.0.1' });
    await host.listen(7071, { host: '127.0.0.1' });
    await service(api, 'web', {
      type: 'NodePort',
      externalIPs: ['203.0.113.7'],
      ports: [{ ...tcp, nodePort: 30_080 }],
    });
    await answers(client, '203.0.113.7', 80, /REFUSED|UNREACH/);
    await endpoints(api, 'web', [a.ip], [['', 'TCP']]);
    await answers(client, plan.gatewayAddress, 30_080, new RegExp(`^a ${client.ip}$`));
    await answers(client, '203.0.113.7', 80, new RegExp(`^a ${client.ip}$`));
    await answers(host, '127.0.0.1', 30_080, new RegExp(`^a ${plan.gatewayAddress}$`));
    await answers(a, plan.gatewayAddress, 30_080, new RegExp(`^a ${plan.gatewayAddress}$`));
    await endpoints(api, 'web', ['127.0.0.1'], [['', 'TCP', 7070]]);
    const ip = (await api.client.get(CoreServiceKind, { namespace: 'default', name: 'web' }))?.spec.clusterIP ?? '';
    await answers(client, ip, 80, new RegExp(`^host ${client.ip}$`));
    await answers(client, plan.gatewayAddress, 30_080, new RegExp(`^host ${client.ip}$`));
    await answers(host, ip, 80, /^host /);
    await answers(host, '127.0.0.1', 30_080, /^host /);
    await assert.rejects(client.ask(plan.gatewayAddress, 7070), { message: 'ECONNREFUSED' });
    await assert.rejects(client.ask('127.0.0.1', 7071), { message: 'ECONNREFUSED' });
  });

  test('a client keeps its endpoint while it is there, where the Service says so', async (t) => {
    const { api, network, plan, host } = await world(t);
    const pods = await Promise.all(['a', 'b', 'c', 'client'].map((name) => testPod(t, { network, plan }, name)));
    const client = pods.pop();
    assert.ok(client);
    const ip = await service(api, 'web', { sessionAffinity: 'ClientIP', ports: [tcp] });
    await endpoints(
      api,
      'web',
      pods.map((pod) => pod.ip),
      [['', 'TCP']],
    );
    const first = await answers(client, ip, 80, /^[abc] /);
    for (let i = 0; i < 20; i++) assert.equal(await client.ask(ip, 80), first);
    await answers(host, ip, 80, /^[abc] /);
    const left = pods.filter((_pod, i) => 'abc'[i] !== first[0]);
    await endpoints(
      api,
      'web',
      left.map((pod) => pod.ip),
      [['', 'TCP']],
    );
    const second = await answers(client, ip, 80, new RegExp(`^[^${first[0]}] `));
    for (let i = 0; i < 10; i++) assert.equal(await client.ask(ip, 80), second);
  });

  test('endpoints that are not ready get nothing, unless all that are left are ending', async (t) => {
    const { api, network, plan, host } = await world(t);
    const [a, b] = [await testPod(t, { network, plan }, 'a'), await testPod(t, { network, plan }, 'b')];
    const ip = await service(api, 'web', { ports: [tcp] });
    const write = (...ends: End[]) => endpoints(api, 'web', ends, [['', 'TCP']]);
    await write(a.ip, { ip: b.ip, conditions: { ready: false, serving: true, terminating: true } });
    await answers(host, ip, 80, /^a /);
    for (let i = 0; i < 8; i++) assert.match(await host.ask(ip, 80), /^a /);
    await write(
      { ip: a.ip, conditions: { ready: false, serving: false, terminating: true } },
      { ip: b.ip, conditions: { ready: false, serving: true, terminating: true } },
    );
    await answers(host, ip, 80, /^b /);
    await write({ ip: b.ip, conditions: { ready: false, serving: false, terminating: false } });
    await answers(host, ip, 80, /^ECONNREFUSED$/);
  });

  test('a Service that stays on the node drops what it could only lead elsewhere', async (t) => {
    const { api, network, plan, host } = await world(t);
    const [a, b] = [await testPod(t, { network, plan }, 'a'), await testPod(t, { network, plan }, 'b')];
    const ip = await service(api, 'web', { internalTrafficPolicy: 'Local', ports: [tcp] });
    await endpoints(api, 'web', [{ ip: a.ip, node: 'other' }, b.ip], [['', 'TCP']]);
    await answers(host, ip, 80, /^b /);
    for (let i = 0; i < 8; i++) assert.match(await host.ask(ip, 80), /^b /);
    await endpoints(api, 'web', [{ ip: a.ip, node: 'other' }], [['', 'TCP']]);
    await answers(host, ip, 80, /^no answer$/);
  });

  test('rules that follow one another take over without a gap, and mend what somebody has removed', async (t) => {
    const here = await world(t);
    const a = await testPod(t, here, 'a');
    const ip = await service(here.api, 'web', { ports: [tcp] });
    await endpoints(here.api, 'web', [a.ip], [['', 'TCP']]);
    await answers(here.host, ip, 80, /^a /);
    await here.rules.stop();
    assert.match(await here.host.ask(ip, 80), /^a /, 'they stay while nobody looks after them');
    const next = rulesOn(t, here, here.api);
    let isOver = false;
    const asking = (async () => {
      for (let asked = 0; ; asked++) {
        assert.match(await here.host.ask(ip, 80), /^a /);
        if (isOver && asked > 5) return;
      }
    })();
    await next.start();
    isOver = true;
    await asking;
    shell(`nft delete table ip ${serviceTable(here.plan)}`);
    await service(here.api, 'another', { ports: [tcp] });
    await endpoints(here.api, 'another', [a.ip], [['', 'TCP']]);
    await answers(here.host, ip, 80, /^a /);
  });

  test('a UDP client that goes on sending is led to the next endpoint', async (t) => {
    const { api, network, plan, host } = await world(t);
    const [a, b] = [await testPod(t, { network, plan }, 'a'), await testPod(t, { network, plan }, 'b')];
    const ip = await service(api, 'dns', { ports: [{ port: 53, protocol: 'UDP' }] });
    await endpoints(api, 'dns', [a.ip], [['', 'UDP']]);
    await answers(host, ip, 53, /^a /, 'udp');
    const flows = () => shell(`conntrack -L -p udp --orig-dst ${ip} 2>/dev/null || true`);
    assert.match(flows(), new RegExp(a.ip));
    await endpoints(api, 'dns', [b.ip], [['', 'UDP']]);
    await answers(host, ip, 53, /^b /, 'udp');
    await until(() => !flows().includes(`src=${a.ip} `));
  });
});
