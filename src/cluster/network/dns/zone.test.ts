import assert from 'node:assert/strict';
import { test } from 'node:test';
import { service, slice, testCluster } from './testing/cluster.ts';
import { rcodes, types } from './wire/constants.ts';
import { nameOf } from './wire/name.ts';
import type { ResourceRecord } from './wire/reply.ts';
import { answer, type Zone } from './zone.ts';

type Type = keyof typeof types;

function text(record: ResourceRecord): string {
  switch (record.type) {
    case 'A':
    case 'AAAA':
      return record.address;
    case 'SRV':
      return `${record.priority} ${record.weight} ${record.port} ${record.target.join('.')}`;
    case 'SOA':
      return `${record.primary.join('.')} ${record.mailbox.join('.')} ${record.timers.join(' ')}`;
    case 'TXT':
      return record.text;
    case 'raw':
      return record.data.toString('hex');
    default:
      return record.target.join('.');
  }
}

function ask(zone: Zone, name: string, type: Type): string {
  const found = answer(zone, { name: nameOf(name), type: types[type], class: 1 });
  const records = found.answers.map((record) => `${record.type} ${text(record)}`).sort();
  if (found.is === 'elsewhere') return [...records, `→ ${found.name.join('.')}`].join(', ');
  const [rcode] = Object.entries(rcodes).find(([, number]) => number === found.rcode) ?? [''];
  const soa = found.authorities?.some(({ type: of }) => of === 'SOA') ? ' SOA' : '';
  return records.length > 0 && rcode === 'NOERROR' && soa === ''
    ? records.join(', ')
    : [...records, rcode + soa].join(', ');
}

const none = 'NXDOMAIN SOA';
const noData = 'NOERROR SOA';
const questions: [name: string, type: Type, said: string][] = [
  ['kubernetes.default.svc.cluster.local', 'A', 'A 10.96.0.1'],
  ['kubernetes.default.svc.cluster.local', 'AAAA', noData],
  ['KuBeRnetes.default.SVC.cluster.LOCAL', 'A', 'A 10.96.0.1'],
  ['nobody.default.svc.cluster.local', 'A', none],
  ['nobody.nowhere.svc.cluster.local', 'A', none],
  ['web.shop.svc.cluster.local', 'TXT', noData],
  // Headless: the ready endpoints, of both families.
  ['db.shop.svc.cluster.local', 'A', 'A 10.244.0.5, A 10.244.0.6'],
  ['db.shop.svc.cluster.local', 'AAAA', 'AAAA fd00::8'],
  ['empty.shop.svc.cluster.local', 'A', none],
  ['early.shop.svc.cluster.local', 'A', 'A 10.244.0.9'],
  // Endpoints by their hostnames, or else their addresses.
  ['db-0.db.shop.svc.cluster.local', 'A', 'A 10.244.0.5'],
  ['db-0.db.shop.svc.cluster.local', 'AAAA', noData],
  ['10-244-0-6.db.shop.svc.cluster.local', 'A', 'A 10.244.0.6'],
  ['10-244-0-5.db.shop.svc.cluster.local', 'A', none],
  ['fd00--8.db.shop.svc.cluster.local', 'AAAA', 'AAAA fd00::8'],
  ['db-2.db.shop.svc.cluster.local', 'A', none],
  ['early-0.early.shop.svc.cluster.local', 'A', 'A 10.244.0.9'],
  // Ports by their names.
  ['_http._tcp.web.shop.svc.cluster.local', 'SRV', 'SRV 0 100 80 web.shop.svc.cluster.local'],
  ['_dns._udp.web.shop.svc.cluster.local', 'SRV', 'SRV 0 100 53 web.shop.svc.cluster.local'],
  ['_http._udp.web.shop.svc.cluster.local', 'SRV', none],
  ['_sql._tcp.web.shop.svc.cluster.local', 'SRV', none],
  ['_http._tcp.web.shop.svc.cluster.local', 'A', noData],
  ['_tcp.web.shop.svc.cluster.local', 'SRV', noData],
  ['_sctp.web.shop.svc.cluster.local', 'SRV', none],
  [
    '_sql._tcp.db.shop.svc.cluster.local',
    'SRV',
    'SRV 0 50 5433 10-244-0-6.db.shop.svc.cluster.local, SRV 0 50 5433 db-0.db.shop.svc.cluster.local',
  ],
  // Names that stand for others.
  ['hello.shop.svc.cluster.local', 'A', 'A 10.96.7.7, CNAME web.shop.svc.cluster.local'],
  ['hello.shop.svc.cluster.local', 'CNAME', 'CNAME web.shop.svc.cluster.local'],
  ['outside.shop.svc.cluster.local', 'A', 'CNAME www.Example.com, → www.Example.com'],
  ['gone.shop.svc.cluster.local', 'A', `CNAME nobody.shop.svc.cluster.local, ${none}`],
  ['number.shop.svc.cluster.local', 'A', noData],
  ['circle.shop.svc.cluster.local', 'A', 'SERVFAIL'],
  ['below.hello.shop.svc.cluster.local', 'A', none],
  // Pods: the address is in the name.
  ['10-244-0-77.shop.pod.cluster.local', 'A', 'A 10.244.0.77'],
  ['10-244-0-77.shop.pod.cluster.local', 'AAAA', noData],
  ['10-244-0-77.nowhere.pod.cluster.local', 'A', none],
  ['10-244-0-777.shop.pod.cluster.local', 'A', none],
  ['web.shop.pod.cluster.local', 'A', none],
  // What is between names is there, without data (RFC 8020).
  ['cluster.local', 'A', noData],
  ['svc.cluster.local', 'A', noData],
  ['shop.svc.cluster.local', 'A', noData],
  ['nowhere.svc.cluster.local', 'A', none],
  ['pod.cluster.local', 'A', noData],
  ['web.shop.cluster.local', 'A', none],
  // About the zone itself.
  ['cluster.local', 'SOA', 'SOA ns.dns.cluster.local hostmaster.cluster.local 7200 1800 86400 5'],
  ['cluster.local', 'NS', 'NS ns.dns.cluster.local'],
  ['ns.dns.cluster.local', 'A', 'A 10.96.0.10'],
  ['dns-version.cluster.local', 'TXT', 'TXT 1.1.0'],
  // From addresses to names.
  ['7.7.96.10.in-addr.arpa', 'PTR', 'PTR web.shop.svc.cluster.local'],
  ['5.0.244.10.in-addr.arpa', 'PTR', 'PTR db-0.db.shop.svc.cluster.local'],
  ['6.0.244.10.in-addr.arpa', 'PTR', 'PTR 10-244-0-6.db.shop.svc.cluster.local'],
  ['6.0.244.10.in-addr.arpa', 'A', noData],
  [
    '8.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa',
    'PTR',
    'PTR fd00--8.db.shop.svc.cluster.local',
  ],
  ['7.0.244.10.in-addr.arpa', 'PTR', none],
  ['9.9.96.10.in-addr.arpa', 'PTR', none],
  ['1.2.0.192.in-addr.arpa', 'PTR', '→ 1.2.0.192.in-addr.arpa'],
  ['96.10.in-addr.arpa', 'PTR', '→ 96.10.in-addr.arpa'],
  // What others know.
  ['example.com', 'A', '→ example.com'],
  ['notcluster.local', 'A', '→ notcluster.local'],
  ['example.com', 'ANY', 'REFUSED'],
  ['cluster.local', 'AXFR', 'REFUSED'],
];

test('names of the cluster are answered as the specification has it, others by others', () => {
  const { zone } = testCluster();
  for (const [name, type, said] of questions) assert.equal(ask(zone, name, type), said, `${type} ${name}`);
});

test('an answer keeps the case of the question, and is short-lived', () => {
  const { zone } = testCluster();
  const name = nameOf('WEB.shop.svc.cluster.local');
  const found = answer(zone, { name, type: types.A, class: 1 });
  assert.deepEqual(found.answers, [{ type: 'A', name, ttl: 5, address: '10.96.7.7' }]);
});

test('the class of other networks is refused', () => {
  const { zone } = testCluster();
  const found = answer(zone, { name: nameOf('version.bind'), type: types.TXT, class: 3 });
  assert.ok(found.is === 'ours' && found.rcode === rcodes.REFUSED);
});

test('addresses of a headless Service come in another order each time', () => {
  const { index, zone } = testCluster();
  const endpoints = Array.from({ length: 8 }, (_, i) => ({ addresses: [`10.244.1.${i}`] }));
  index.setService('shop/many', service('shop', 'many', { clusterIP: 'None', clusterIPs: ['None'] }));
  index.setSlice(undefined, slice('shop/many', endpoints));
  const orders = new Set<string>();
  for (let i = 0; i < 50; i++) {
    const { answers } = answer(zone, { name: nameOf('many.shop.svc.cluster.local'), type: types.A, class: 1 });
    assert.equal(answers.length, 8);
    orders.add(answers.map(text).join());
  }
  assert.ok(orders.size > 1);
});

test('names follow what changes: endpoints move, Services go, an address has another owner', () => {
  const { index, zone } = testCluster();
  const old = slice('shop/db', [{ addresses: ['10.244.0.5'], hostname: 'db-0', conditions: { ready: true } }]);
  const moved = slice('shop/db', [{ addresses: ['10.244.0.55'], hostname: 'db-0', conditions: { ready: true } }]);
  index.setSlice(old, moved);
  assert.equal(ask(zone, 'db-0.db.shop.svc.cluster.local', 'A'), 'A 10.244.0.55');
  assert.equal(ask(zone, '5.0.244.10.in-addr.arpa', 'PTR'), none);
  index.setService('shop/web', undefined);
  assert.equal(ask(zone, 'web.shop.svc.cluster.local', 'A'), none);
  assert.equal(ask(zone, '7.7.96.10.in-addr.arpa', 'PTR'), none);
  index.setService('shop/next', service('shop', 'next', { clusterIP: '10.96.7.7', clusterIPs: ['10.96.7.7'] }));
  assert.equal(ask(zone, '7.7.96.10.in-addr.arpa', 'PTR'), 'PTR next.shop.svc.cluster.local');
  index.setService('shop/db', service('shop', 'db', { clusterIP: '10.96.8.8', clusterIPs: ['10.96.8.8'] }));
  assert.equal(ask(zone, 'db.shop.svc.cluster.local', 'A'), 'A 10.96.8.8');
  assert.equal(
    ask(zone, '55.0.244.10.in-addr.arpa', 'PTR'),
    none,
    'its own address leads to it, not those of endpoints',
  );
  index.setSlice(moved, undefined);
  assert.equal(ask(zone, 'db-0.db.shop.svc.cluster.local', 'A'), none);
  index.setNamespace('shop', false);
  assert.equal(ask(zone, '10-0-0-1.shop.pod.cluster.local', 'A'), none);
});
