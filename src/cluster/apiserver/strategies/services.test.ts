import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { type CoreService, CoreServiceKind } from '../../../api/core/service.ts';
import type { ServicePort, ServiceSpec } from '../../../api/core/service-spec.ts';
import { ApiError } from '../../../api/status.ts';
import { VirtualClock } from '../../../lib/virtual-clock.ts';
import { silentLogger } from '../../../observe/log.ts';
import { defaultServiceNetwork, type ServiceNetwork } from '../../service-network.ts';
import { type ApiServer, openApiServer } from '../index.ts';
import { askingFor, openApi } from '../testing/open-api.ts';

const http: ServicePort = { name: 'http', port: 80, protocol: 'TCP' };

const service = (name: string, spec: ServiceSpec = {}): CoreService => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, namespace: 'default' },
  spec: { ports: [http], ...spec },
});

const make = ({ client }: ApiServer, name: string, spec?: ServiceSpec) =>
  client.create(CoreServiceKind, service(name, spec));

const merge = ({ client }: ApiServer, name: string, spec: object) =>
  client.patch(CoreServiceKind, { namespace: 'default', name }, { type: 'merge', patch: { spec } });

const refused = (code: number, message: string) => (error: unknown) => {
  assert.ok(error instanceof ApiError, String(error));
  assert.ok(error.message.includes(message), `${error.message} says: ${message}`);
  assert.equal(error.code, code);
  return true;
};

/** With so few addresses and ports that they run out: 10.9.0.1 to 10.9.0.14. */
const small: ServiceNetwork = {
  ...defaultServiceNetwork,
  cidr: '10.9.0.0/28',
  nodePorts: { first: 30_000, last: 30_003 },
};

describe('the address of a Service', () => {
  test('is taken from the larger part of the range, and kept whatever a client leaves out', async (t) => {
    const { api } = await openApi(t);
    const { metadata, spec, status } = await make(api, 'a');
    assert.deepEqual(status, { loadBalancer: {} });
    assert.match(spec.clusterIP ?? '', /^10\.96\.([1-9]|\d\d|1\d\d|2[0-4]\d|25[0-5])\.\d+$/);
    const { clusterIP } = spec;
    assert.deepEqual(
      { ...spec },
      {
        type: 'ClusterIP',
        clusterIP,
        clusterIPs: [clusterIP],
        ipFamilies: ['IPv4'],
        ipFamilyPolicy: 'SingleStack',
        internalTrafficPolicy: 'Cluster',
        sessionAffinity: 'None',
        ports: [{ ...http, targetPort: 80 }],
      },
    );
    const { resourceVersion = '' } = metadata;
    const replaced = await api.client.update(CoreServiceKind, {
      ...service('a', { ports: [{ port: 81 }] }),
      metadata: { name: 'a', namespace: 'default', resourceVersion },
    });
    assert.equal(replaced.spec.clusterIP, clusterIP);
    assert.equal((await merge(api, 'a', { clusterIP: null, clusterIPs: null })).spec.clusterIP, clusterIP);
    assert.equal((await merge(api, 'a', { clusterIP: '' })).spec.clusterIP, clusterIP);
  });

  test('may not change, except by way of a mere name', async (t) => {
    const { api } = await openApi(t);
    const { spec } = await make(api, 'a', { clusterIP: '10.96.0.50' });
    assert.deepEqual(spec.clusterIPs, ['10.96.0.50']);
    const message =
      'Service "a" is invalid: spec.clusterIPs[0]: Invalid value: ["10.96.0.51"]: may not change once set';
    await assert.rejects(merge(api, 'a', { clusterIP: '10.96.0.51' }), refused(422, message));
    const headless = 'spec.clusterIPs[0]: Invalid value: ["None"]: may not change once set';
    await assert.rejects(merge(api, 'a', { clusterIP: 'None' }), refused(422, headless));
    const named = await merge(api, 'a', { type: 'ExternalName', externalName: 'x.example' });
    assert.deepEqual(named.spec, {
      type: 'ExternalName',
      externalName: 'x.example',
      sessionAffinity: 'None',
      ports: [{ ...http, targetPort: 80 }],
    });
    const other = await make(api, 'b', { clusterIP: '10.96.0.50' });
    assert.equal(other.spec.clusterIP, '10.96.0.50', 'it was given back');
    const back = await merge(api, 'a', { type: 'ClusterIP', externalName: null, clusterIP: '10.96.0.51' });
    assert.deepEqual(back.spec.clusterIPs, ['10.96.0.51']);
  });

  test('that is taken, out of range or reserved is refused, and free again once its Service is gone', async (t) => {
    const { api } = await openApi(t);
    await make(api, 'a', { clusterIP: '10.96.7.7' });
    const taken =
      'Service "b" is invalid: spec.clusterIPs: Invalid value: ["10.96.7.7"]: failed to allocate IP 10.96.7.7: ' +
      'provided IP is already allocated';
    await assert.rejects(make(api, 'b', { clusterIP: '10.96.7.7' }), refused(422, taken));
    for (const clusterIP of ['10.97.0.1', '10.96.0.0', '10.96.255.255']) {
      const why = `the provided IP (${clusterIP}) is not in the valid range. The range of valid IPs is 10.96.0.0/16`;
      await assert.rejects(make(api, 'b', { clusterIP }), refused(422, why));
    }
    for (const clusterIP of ['10.96.0.1', '10.96.0.10']) {
      await assert.rejects(make(api, 'b', { clusterIP }), refused(422, 'provided IP is already allocated'));
    }
    await api.client.delete(CoreServiceKind, { namespace: 'default', name: 'a' });
    assert.equal((await make(api, 'b', { clusterIP: '10.96.7.7' })).spec.clusterIP, '10.96.7.7');
  });

  test('is none for a headless Service, which may have either family when it selects nothing', async (t) => {
    const { api } = await openApi(t);
    const { spec } = await make(api, 'a', { clusterIP: 'None', selector: { app: 'a' } });
    assert.deepEqual(
      [spec.clusterIP, spec.clusterIPs, spec.ipFamilies, spec.ipFamilyPolicy],
      ['None', ['None'], ['IPv4'], 'SingleStack'],
    );
    const free = (await make(api, 'b', { clusterIP: 'None' })).spec;
    assert.deepEqual([free.ipFamilies, free.ipFamilyPolicy], [['IPv4', 'IPv6'], 'RequireDualStack']);
  });

  const nonsense: [spec: ServiceSpec, message: string][] = [
    [{ clusterIP: '10.96.0' }, 'spec.clusterIPs[0]: Invalid value: "10.96.0": must be a valid IP address'],
    [{ clusterIPs: ['10.96.0.9'] }, 'must be empty when `clusterIP` is not specified'],
    [{ clusterIP: '10.96.0.9', clusterIPs: ['10.96.0.8'] }, 'first value must match `clusterIP`'],
    [{ clusterIP: 'None', clusterIPs: ['None', '10.96.0.9'] }, "'None' must be the first and only value"],
    [
      { clusterIP: '10.96.0.8', clusterIPs: ['10.96.0.8', '10.96.0.9'] },
      'may specify no more than one IP for each IP family',
    ],
    [{ clusterIP: 'fd00::1' }, 'IPv6 is not configured on this cluster'],
    [{ ipFamilies: ['IPv6'] }, 'spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster'],
    [{ ipFamilyPolicy: 'RequireDualStack' }, 'this cluster is not configured for dual-stack services'],
    [{ ipFamilyPolicy: 'Both' }, 'spec.ipFamilyPolicy: Unsupported value: "Both"'],
    [{ type: 'NodePort', clusterIP: 'None' }, "may not be set to 'None' for NodePort services"],
    [
      { type: 'ExternalName', externalName: 'x.example', clusterIP: '10.96.0.9' },
      'spec.clusterIPs: Forbidden: may not be set for ExternalName services',
    ],
    [{ ports: [] }, 'spec.ports: Required value'],
    [{ externalTrafficPolicy: 'Local' }, 'may only be set for externally-accessible services'],
    [{ type: 'NodePort', healthCheckNodePort: 30001 }, "may only be set when `type` is 'LoadBalancer'"],
    [{ sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 0 } } }, 'must be greater'],
    [{ allocateLoadBalancerNodePorts: true }, "may only be used when `type` is 'LoadBalancer'"],
    [{ ports: [{ ...http, nodePort: 30_000 }] }, "may not be used when `type` is 'ClusterIP'"],
  ];
  test('that makes no sense is refused in the words of Kubernetes', async (t) => {
    const { api } = await openApi(t);
    for (const [spec, message] of nonsense) await assert.rejects(make(api, 'a', spec), refused(422, message));
  });
});

describe('node ports', () => {
  test('are allocated where the type has them, kept by name, and given back with it', async (t) => {
    const { api } = await openApi(t);
    const ports = [http, { name: 'dns', port: 53 }, { name: 'dns-udp', port: 53, protocol: 'UDP' as const }];
    const { spec } = await make(api, 'a', { type: 'NodePort', ports });
    const [first, dns, dnsUdp] = (spec.ports ?? []).map(({ nodePort }) => nodePort ?? 0);
    assert.ok(first !== undefined && first >= 30_000 + 86 && first <= 32_767, `${first}`);
    assert.equal(dns, dnsUdp, 'one number in two protocols');
    assert.equal(spec.externalTrafficPolicy, 'Cluster');
    const changed = await merge(api, 'a', {
      ports: [
        { name: 'new', port: 9 },
        { ...http, port: 8080 },
      ],
    });
    assert.equal(changed.spec.ports?.[1]?.nodePort, first);
    assert.notEqual(changed.spec.ports?.[0]?.nodePort, first);
    const inside = await merge(api, 'a', { type: 'ClusterIP' });
    assert.deepEqual(
      inside.spec.ports?.map(({ nodePort }) => nodePort),
      [undefined, undefined],
    );
    assert.equal(inside.spec.externalTrafficPolicy, undefined);
    assert.equal(inside.spec.clusterIP, spec.clusterIP);
    const [mine] = (await make(api, 'b', { type: 'NodePort', ports: [{ ...http, nodePort: first ?? 0 }] })).spec
      .ports ?? [{ nodePort: 0 }];
    assert.equal(mine?.nodePort, first);
  });

  test('that are taken, out of range or repeated are refused', async (t) => {
    const { api } = await openApi(t);
    const at = (nodePort: number) => ({ type: 'NodePort' as const, ports: [{ ...http, nodePort }] });
    await make(api, 'a', at(30_080));
    const taken = 'spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated';
    await assert.rejects(make(api, 'b', at(30_080)), refused(422, taken));
    const range = 'provided port is not in the valid range. The range of valid ports is 30000-32767';
    await assert.rejects(make(api, 'b', at(80)), refused(422, range));
    const ports = [
      { ...http, nodePort: 30_081 },
      { name: 'b', port: 81, nodePort: 30_081 },
    ];
    await assert.rejects(make(api, 'b', { type: 'NodePort', ports }), refused(422, 'Duplicate value: 30081'));
    await assert.rejects(merge(api, 'a', { ports: [{ ...http, nodePort: 99 }] }), refused(422, range));
  });

  test('of health checks are there while a balancer leads to this node alone', async (t) => {
    const { api } = await openApi(t);
    const { spec } = await make(api, 'a', { type: 'LoadBalancer', externalTrafficPolicy: 'Local' });
    const { healthCheckNodePort = 0 } = spec;
    assert.ok(healthCheckNodePort >= 30_000 && healthCheckNodePort !== spec.ports?.[0]?.nodePort);
    assert.equal(spec.allocateLoadBalancerNodePorts, true);
    await assert.rejects(merge(api, 'a', { healthCheckNodePort: 30_001 }), refused(422, 'field is immutable'));
    assert.equal(
      (await merge(api, 'a', { sessionAffinity: 'ClientIP' })).spec.healthCheckNodePort,
      healthCheckNodePort,
    );
    const taken = `failed to allocate requested HealthCheck NodePort ${healthCheckNodePort}: provided port is already`;
    const same = { type: 'LoadBalancer' as const, externalTrafficPolicy: 'Local', healthCheckNodePort };
    await assert.rejects(make(api, 'b', same), refused(500, taken));
    const key = { namespace: 'default', name: 'a' };
    const ingress = [{ ip: '192.0.2.9', ipMode: 'VIP' }];
    const patch = { status: { loadBalancer: { ingress } } };
    await api.client.patch(CoreServiceKind, key, { type: 'merge', patch }, 'status');
    assert.equal((await merge(api, 'a', { externalTrafficPolicy: 'Cluster' })).spec.healthCheckNodePort, undefined);
    assert.deepEqual((await api.client.get(CoreServiceKind, key))?.status, { loadBalancer: { ingress } });
    assert.equal((await make(api, 'b', same)).spec.healthCheckNodePort, healthCheckNodePort);
    assert.deepEqual((await merge(api, 'a', { type: 'ClusterIP' })).status, { loadBalancer: {} });
    const none = { type: 'LoadBalancer' as const, allocateLoadBalancerNodePorts: false };
    assert.equal((await make(api, 'c', none)).spec.ports?.[0]?.nodePort, undefined);
  });
});

describe('what there is only once', () => {
  test('is never given twice, however many ask at once, and runs out with a word about it', async (t) => {
    const { api } = await openApi(t, { serviceNetwork: small });
    const asked = Array.from({ length: 30 }, (_, i) => make(api, `s${i}`, { type: i < 6 ? 'NodePort' : 'ClusterIP' }));
    const settled = await Promise.allSettled(asked);
    const made = settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    const addresses = new Set(made.map(({ spec }) => spec.clusterIP));
    assert.equal(addresses.size, 12, 'all but those of the API server and of DNS');
    assert.equal(made.length, 12);
    assert.equal(new Set(made.flatMap(({ spec }) => spec.ports?.[0]?.nodePort ?? [])).size, 4);
    const reasons = settled.flatMap((one) => (one.status === 'rejected' ? [String(one.reason.message)] : []));
    assert.ok(reasons.includes('Internal error occurred: failed to allocate a serviceIP: range is full'));
    assert.ok(reasons.includes('Internal error occurred: failed to allocate a nodePort: range is full'));
    const [gone] = made;
    await api.client.delete(CoreServiceKind, { namespace: 'default', name: gone?.metadata.name ?? '' });
    assert.equal((await make(api, 'late')).spec.clusterIP, gone?.spec.clusterIP);
  });

  test('is not taken by a dry run, nor by a write that is refused', async (t) => {
    const { api } = await openApi(t, { serviceNetwork: small });
    const request = { ...askingFor(api, CoreServiceKind, 'create', 'x'), dryRun: true };
    for (let i = 0; i < 20; i++) {
      const { stored } = await api.pipeline.create(request, service('x'), {});
      assert.match((stored.object as CoreService).spec.clusterIP ?? '', /^10\.9\.0\./);
      await assert.rejects(make(api, 'y', { type: 'NodePort', ports: [{ ...http, nodePort: 1 }] }));
    }
    for (let i = 0; i < 12; i++) await make(api, `s${i}`);
  });

  test('is as it was after a start, and what was stored without any gets its own', async (t) => {
    const dataDir = await mkdtemp(join(tmpdir(), 'kittiwake-services-'));
    t.after(() => rm(dataDir, { recursive: true, force: true }));
    const applied = { 'kubectl.kubernetes.io/last-applied-configuration': JSON.stringify({ spec: { ports: [http] } }) };
    const asked = JSON.stringify({ spec: { clusterIP: 'None' } });
    const none = { clusterIP: 'None', clusterIPs: ['None'] };
    await whileOpen(dataDir, async (api) => {
      const found = api.pipeline.resources.find('', 'v1', 'services');
      const strategy = found?.strategy as { allocate?: unknown };
      const { allocate } = strategy;
      delete strategy.allocate; // As before there were addresses.
      await make(api, 'bare');
      await api.client.create(CoreServiceKind, { ...service('applied', none), ...meta('applied', applied) });
      const byHeart = { 'kubectl.kubernetes.io/last-applied-configuration': asked };
      await api.client.create(CoreServiceKind, { ...service('headless', none), ...meta('headless', byHeart) });
      await make(api, 'unknown', none);
      await make(api, 'kubernetes', none);
      strategy.allocate = allocate;
      await make(api, 'new', { clusterIP: '10.9.0.12' });
    });
    await whileOpen(dataDir, async (api) => {
      const addressOf = async (name: string) =>
        (await api.client.get(CoreServiceKind, { namespace: 'default', name }))?.spec.clusterIP;
      assert.match((await addressOf('bare')) ?? '', /^10\.9\.0\.\d+$/);
      assert.match((await addressOf('applied')) ?? '', /^10\.9\.0\.\d+$/);
      assert.equal(await addressOf('headless'), 'None');
      assert.equal(await addressOf('kubernetes'), '10.9.0.1');
      assert.equal(await addressOf('unknown'), 'None');
      assert.equal(await addressOf('new'), '10.9.0.12');
      const taken = refused(422, 'provided IP is already allocated');
      await assert.rejects(make(api, 'other', { clusterIP: '10.9.0.12' }), taken);
      await assert.rejects(make(api, 'other', { clusterIP: (await addressOf('bare')) ?? '' }), taken);
    });
    const moved = { ...small, cidr: '10.8.0.0/28', reserved: { 'default/new': 5 } };
    await whileOpen(
      dataDir,
      async ({ client }) => {
        const { items } = await client.list(CoreServiceKind, { namespace: 'default' });
        const addresses = items.map(({ spec }) => spec.clusterIP).filter((address) => address !== 'None');
        assert.ok(addresses.length === 4 && addresses.every((address) => address?.startsWith('10.8.0.')));
        assert.ok(addresses.includes('10.8.0.5'), 'the one that is kept for it');
      },
      moved,
    );
  });
});

const meta = (name: string, annotations: Record<string, string>) => ({
  metadata: { name, namespace: 'default', annotations },
});

async function whileOpen(
  dataDir: string,
  then: (api: ApiServer) => Promise<void>,
  serviceNetwork = small,
): Promise<void> {
  const clock = new VirtualClock();
  const api = await openApiServer({ dataDir, clock, log: silentLogger, kinds: [], serviceNetwork });
  try {
    await then(api);
  } finally {
    await api.stop();
  }
}
