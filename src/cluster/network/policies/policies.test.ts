import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Pod, PodKind } from '../../../api/core/pod.ts';
import { type NetworkPolicy, NetworkPolicyKind } from '../../../api/networking/network-policy.ts';
import { systemClock as clock } from '../../../lib/clock.ts';
import { afterwards, type Scope } from '../../../lib/testing/afterwards.ts';
import { temporaryFolder } from '../../../lib/testing/temporary-folder.ts';
import { until } from '../../../lib/testing/until.ts';
import { silentLogger as log } from '../../../observe/log.ts';
import { type ApiServer, openApiServer } from '../../apiserver/index.ts';
import { inOwnNetwork } from '../testing/own-network.ts';
import { shell, type TestPod, testPlatform, testPod } from '../testing/test-platform.ts';
import { type TestProgram, testNetns, testProgram } from '../testing/test-pod.ts';
import { Policies } from './policies.ts';
import { policyTable } from './policy-table.ts';

/** Two pods of `default`, one of another namespace, and the host, which policies leave alone. */
async function world(t: Scope) {
  const platform = testPlatform(t);
  const api = await openApiServer({ dataDir: temporaryFolder(t), clock, log, kinds: [], namespaces: ['other'] });
  afterwards(t, () => api.stop());
  const policies = new Policies({ client: api.client, plan: platform.plan, clock, log });
  afterwards(t, () => policies.stop());
  await policies.start();
  const [web, friend, stranger] = await Promise.all(['web', 'friend', 'stranger'].map((n) => testPod(t, platform, n)));
  assert.ok(web && friend && stranger);
  await web.listen(81);
  await tell(api, web, 'default', [{ name: 'http', containerPort: 80, protocol: 'TCP' }]);
  await tell(api, friend, 'default');
  await tell(api, stranger, 'other');
  return { ...platform, api, policies, web, friend, stranger, host: testProgram(t, 'host') };
}

/** Says to the API what a node would of a pod that has the label app=NAME. */
async function tell(
  api: ApiServer,
  { pod: { name }, ip }: TestPod,
  namespace: string,
  ports: { name: string; containerPort: number; protocol: 'TCP' }[] = [],
) {
  const pod: Pod = await api.client.create(PodKind, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels: { app: name } },
    spec: { containers: [{ name: 'c', image: 'example.com/a:1', ports }] },
  });
  await api.client.update(PodKind, { ...pod, status: { ...pod.status, phase: 'Running', podIP: ip } }, 'status');
}

async function policy(api: ApiServer, name: string, spec: NetworkPolicy['spec']) {
  const key = { namespace: 'default', name };
  const old = await api.client.get(NetworkPolicyKind, key);
  const made = { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: key, ...old, spec };
  await (old ? api.client.update(NetworkPolicyKind, made) : api.client.create(NetworkPolicyKind, made));
}

/** Waits until `from` can reach it, or cannot. */
const reaches = (from: TestProgram, ip: string, port = 80) =>
  until(() => from.ask(ip, port, { limitMs: 300 }).catch(() => undefined), `${ip}:${port} is reached`);
const isCutOff = (from: TestProgram, ip: string, port = 80) =>
  until(
    () =>
      from.ask(ip, port, { limitMs: 300 }).then(
        () => false,
        (error) => error.message === 'no answer',
      ),
    `${ip}:${port} is cut off`,
  );

const app = (name: string) => ({ matchLabels: { app: name } });

inOwnNetwork(import.meta.url, () => {
  test('a pod that a policy selects gets only what some policy allows, until none selects it', async (t) => {
    const { api, web, friend, stranger, host, plan } = await world(t);
    await reaches(friend, web.ip);
    await policy(api, 'deny', { podSelector: {} });
    await isCutOff(friend, web.ip);
    await isCutOff(stranger, web.ip);
    assert.match(await host.ask(web.ip, 80), /^web /, 'the host reaches its pods');
    assert.match(await web.ask(web.ip, 80), /^web /, 'a pod reaches itself');
    assert.match(await web.ask(stranger.ip, 80), /^stranger /, 'what it begins itself is answered');
    await policy(api, 'friends', { podSelector: app('web'), ingress: [{ from: [{ podSelector: app('friend') }] }] });
    await reaches(friend, web.ip);
    await isCutOff(stranger, web.ip);
    const other = { matchLabels: { 'kubernetes.io/metadata.name': 'other' } };
    await policy(api, 'friends', { podSelector: app('web'), ingress: [{ from: [{ namespaceSelector: other }] }] });
    await reaches(stranger, web.ip);
    await isCutOff(friend, web.ip);
    for (const name of ['deny', 'friends']) {
      await api.client.delete(NetworkPolicyKind, { namespace: 'default', name });
    }
    await reaches(friend, web.ip);
    await until(() => !/10\.244/.test(shell(`nft list table ip ${policyTable(plan)}`)), 'nothing is left of them');
  });

  test('ports are allowed by number, by range, by the name that each pod gives them, and by protocol', async (t) => {
    const { api, web, friend } = await world(t);
    const allow = (port: object) => policy(api, 'ports', { podSelector: app('web'), ingress: [{ ports: [port] }] });
    await allow({ port: 80 });
    await isCutOff(friend, web.ip, 81);
    await reaches(friend, web.ip, 80);
    await allow({ port: 81, endPort: 90 });
    await isCutOff(friend, web.ip, 80);
    await reaches(friend, web.ip, 81);
    await allow({ port: 'http' });
    await isCutOff(friend, web.ip, 81);
    await reaches(friend, web.ip, 80);
    await allow({ protocol: 'UDP' });
    await isCutOff(friend, web.ip, 80);
    assert.match(await friend.ask(web.ip, 80, { protocol: 'udp' }), /^web /);
  });

  test('egress is judged, too: both sides must allow a connection', async (t) => {
    const { api, web, friend, stranger } = await world(t);
    const egress = (rules: NetworkPolicy['spec']['egress']) =>
      policy(api, 'out', { podSelector: app('friend'), policyTypes: ['Egress'], egress: rules ?? [] });
    await egress([]);
    await isCutOff(friend, web.ip);
    assert.match(await web.ask(friend.ip, 80), /^friend /);
    await egress([{ to: [{ podSelector: app('web') }] }]);
    await reaches(friend, web.ip);
    await isCutOff(friend, stranger.ip);
    await policy(api, 'in', { podSelector: app('web'), policyTypes: ['Ingress'], ingress: [] });
    await isCutOff(friend, web.ip);
  });

  test('blocks of addresses are allowed but for their exceptions', async (t) => {
    const { api, web, friend } = await world(t);
    const outside = testNetns(t);
    shell(`ip link add out0 type veth peer name eth0 netns ${outside}
      ip addr add 203.0.113.1/24 dev out0; ip link set out0 up
      nsenter --net=${outside} sh -c 'ip addr add 203.0.113.9/24 dev eth0; ip addr add 203.0.113.200/24 dev eth0
        ip link set eth0 up; ip route add default via 203.0.113.1'`);
    afterwards(t, () => shell('ip link del out0'));
    const outer = testProgram(t, 'outer', outside);
    await outer.listen(80);
    await policy(api, 'world', {
      podSelector: {},
      policyTypes: ['Ingress', 'Egress'],
      ingress: [{ from: [{ ipBlock: { cidr: '203.0.113.0/24', except: ['203.0.113.128/25', '203.0.113.200/32'] } }] }],
      egress: [{ to: [{ ipBlock: { cidr: '203.0.113.9/32' } }] }],
    });
    await isCutOff(friend, web.ip);
    await reaches(web, '203.0.113.9');
    await isCutOff(web, '203.0.113.200');
    assert.match(await outer.ask(web.ip, 80, { from: '203.0.113.9' }), /^web /);
    await assert.rejects(outer.ask(web.ip, 80, { from: '203.0.113.200' }), { message: 'no answer' });
  });

  test('a pod that comes is covered, and the address of one that went is nobody’s', async (t) => {
    const { api, network, plan, web, friend, stranger } = await world(t);
    await policy(api, 'friends', { podSelector: app('web'), ingress: [{ from: [{ podSelector: app('late') }] }] });
    await isCutOff(friend, web.ip);
    const late = await testPod(t, { network, plan }, 'late');
    await tell(api, late, 'default');
    await reaches(late, web.ip);
    await api.client.delete(PodKind, { namespace: 'default', name: 'late' }, { gracePeriodSeconds: 0 });
    await isCutOff(late, web.ip);
    await isCutOff(stranger, web.ip);
  });
});
