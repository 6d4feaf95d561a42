import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from '../../api/core/pod.ts';
import type { PodSpec } from '../../api/core/pod-spec.ts';
import { type NodeDns, resolvConf } from './resolv-conf.ts';

const pod = (spec: Partial<PodSpec>): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', namespace: 'shop', uid: 'u' },
  spec: { containers: [], ...spec },
});

const node: NodeDns = {
  nameservers: ['10.96.0.10'],
  domain: 'cluster.local',
  hostConf: '# by hand\nnameserver 192.0.2.1\nnameserver 192.0.2.2\nsearch example.com. .\noptions timeout:2 rotate\n',
};
const cluster = 'search shop.svc.cluster.local svc.cluster.local cluster.local example.com\nnameserver 10.96.0.10\n';
const host = 'search example.com\nnameserver 192.0.2.1\nnameserver 192.0.2.2\noptions timeout:2 rotate\n';

const policies: [why: string, spec: Partial<PodSpec>, text: string][] = [
  ['asks the cluster first unless it says otherwise', {}, `${cluster}options ndots:5\n`],
  ['on the network of the host asks as the host does', { hostNetwork: true }, host],
  [
    'on the network of the host may ask the cluster',
    { hostNetwork: true, dnsPolicy: 'ClusterFirstWithHostNet' },
    `${cluster}options ndots:5\n`,
  ],
  ['asks as the host does when it wants to', { dnsPolicy: 'Default' }, host],
  [
    'asks whom it names and nobody else',
    {
      dnsPolicy: 'None',
      dnsConfig: { nameservers: ['1.2.3.4'], searches: ['a.example'], options: [{ name: 'debug' }] },
    },
    'search a.example\nnameserver 1.2.3.4\noptions debug\n',
  ],
  [
    'adds to what its policy says, and overrules its options',
    {
      dnsConfig: {
        nameservers: ['1.2.3.4', '10.96.0.10'],
        searches: ['own.example.', 'cluster.local'],
        options: [{ name: 'ndots', value: '2' }, { name: 'edns0' }, { name: 'x\nnameserver 6.6.6.6' }],
      },
    },
    `${cluster.replace(' example.com', ' example.com own.example')}nameserver 1.2.3.4\noptions ndots:2 edns0\n`,
  ],
];
for (const [why, spec, text] of policies) {
  test(`a pod ${why}`, () => {
    assert.deepEqual(resolvConf(pod(spec), node), { text, warnings: [] });
  });
}

test("the host's loopback is not a pod's: the cluster's DNS stands for it, except on the network of the host", () => {
  const stub = { ...node, hostConf: 'nameserver 127.0.0.53\n' };
  assert.equal(resolvConf(pod({ dnsPolicy: 'Default' }), stub).text, 'nameserver 10.96.0.10\n');
  assert.equal(resolvConf(pod({ hostNetwork: true }), stub).text, 'nameserver 127.0.0.53\n');
});

test('without DNS of the cluster a pod asks as the host does, and is told', () => {
  const { text, warnings } = resolvConf(pod({}), { ...node, nameservers: [] });
  assert.equal(text, host);
  assert.deepEqual(
    warnings.map(({ reason }) => reason),
    ['MissingClusterDNS'],
  );
  assert.match(warnings[0]?.message ?? '', /^pod: "p_shop\(u\)"\. kubelet does not have ClusterDNS IP configured/);
});

test('what C libraries do not stand is left out, and said', () => {
  const searches = Array.from({ length: 40 }, (_, i) => `d${i}.${'x'.repeat(60)}.example`);
  const nameservers = ['1.1.1.1', '1.1.1.2', '1.1.1.3'];
  const dnsConfig = { nameservers, searches: ['y'.repeat(254), ...searches] };
  const { text, warnings } = resolvConf(pod({ dnsConfig }), node);
  const [search = '', ...rest] = text.split('\n');
  assert.ok(search.length <= 'search '.length + 2048 && !search.includes('yyy'));
  assert.deepEqual(rest.slice(0, 4), [
    'nameserver 10.96.0.10',
    'nameserver 1.1.1.1',
    'nameserver 1.1.1.2',
    'options ndots:5',
  ]);
  assert.match(warnings[0]?.message ?? '', /^Nameserver limits were exceeded, .* line is: 10\.96\.0\.10 1\.1\.1\.1 /);
  assert.match(warnings[1]?.message ?? '', /^Search Line limits were exceeded/);
});
