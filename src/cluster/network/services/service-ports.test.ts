import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CoreService } from '../../../api/core/service.ts';
import type { Endpoint, EndpointSlice } from '../../../api/discovery/endpoint-slice.ts';
import { servedPorts } from './service-ports.ts';

const service = (spec: CoreService['spec'], status?: CoreService['status']): CoreService => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'web', namespace: 'n' },
  spec: { clusterIP: '10.96.0.5', ports: [{ name: 'http', port: 80, protocol: 'TCP' }], ...spec },
  ...(status && { status }),
});

const slice = (endpoints: Endpoint[], changes: Partial<EndpointSlice> = {}): EndpointSlice => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { name: 'web-1', namespace: 'n' },
  addressType: 'IPv4',
  endpoints,
  ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
  ...changes,
});

const end = (address: string, conditions: Endpoint['conditions'] = {}, nodeName = 'local'): Endpoint => ({
  addresses: [address],
  conditions,
  nodeName,
});

const targets = (...slices: EndpointSlice[]) =>
  servedPorts(service({}), slices, 'local')[0]?.endpoints.map(({ address, port }) => `${address}:${port}`);

test('what has no address of its own, or is another program’s, has no rules', () => {
  const none: CoreService['spec'][] = [{ clusterIP: 'None' }, { clusterIP: '' }, { type: 'ExternalName' }];
  for (const spec of [...none, { clusterIP: 'fd00::1' }]) assert.deepEqual(servedPorts(service(spec), [], 'local'), []);
  const labelled = service({});
  labelled.metadata.labels = { 'service.kubernetes.io/service-proxy-name': 'other' };
  assert.deepEqual(servedPorts(labelled, [], 'local'), []);
});

test('a port’s endpoints are those of its name and protocol, in all slices, each once', () => {
  assert.deepEqual(targets(slice([end('10.0.0.2'), end('10.0.0.1')]), slice([end('10.0.0.2'), end('10.0.0.3')])), [
    '10.0.0.1:8080',
    '10.0.0.2:8080',
    '10.0.0.3:8080',
  ]);
  const others: Partial<EndpointSlice>[] = [
    { ports: [{ name: 'https', port: 8080, protocol: 'TCP' }] },
    { ports: [{ name: 'http', port: 8080, protocol: 'UDP' }] },
    { ports: [{ name: 'http', protocol: 'TCP' }] },
    { addressType: 'FQDN' },
  ];
  for (const other of others) assert.deepEqual(targets(slice([end('10.0.0.1')], other)), []);
  assert.deepEqual(targets(slice([end('not an address'), end('10.0.0.256')])), []);
});

test('ready endpoints serve; without any, those that still serve while they end', () => {
  const ending = { ready: false, serving: true, terminating: true };
  const cases: [Endpoint[], string[]][] = [
    [[end('10.0.0.1'), end('10.0.0.2', ending)], ['10.0.0.1:8080']],
    [[end('10.0.0.1', { ready: false }), end('10.0.0.2', ending)], ['10.0.0.2:8080']],
    [[end('10.0.0.1', { ready: false, serving: false, terminating: true })], []],
    [[end('10.0.0.1', { ready: false, serving: true })], []],
  ];
  for (const [endpoints, expected] of cases) assert.deepEqual(targets(slice(endpoints)), expected);
  const moving = [slice([end('10.0.0.1', { ready: false })]), slice([end('10.0.0.1')])];
  assert.deepEqual(targets(...moving), ['10.0.0.1:8080']);
  assert.deepEqual(targets(...moving.reverse()), ['10.0.0.1:8080']);
});

test('who is outside comes by node ports, external addresses and load balancers', () => {
  const lb = {
    type: 'LoadBalancer' as const,
    externalIPs: ['203.0.113.1', 'x'],
    loadBalancerSourceRanges: [' 10.0.0.0/8', 'y'],
  };
  const ingress = [{ ip: '203.0.113.2' }, { ip: '203.0.113.3', ipMode: 'Proxy' }, { hostname: 'lb.example.com' }];
  const ports = [{ name: 'http', port: 80, protocol: 'TCP' as const, nodePort: 30_080 }];
  const [served] = servedPorts(service({ ...lb, ports }, { loadBalancer: { ingress } }), [], 'local');
  assert.equal(served?.nodePort, 30_080);
  assert.deepEqual(served?.externalIps, ['203.0.113.1', '203.0.113.2']);
  assert.deepEqual(served?.sources, { ips: ['203.0.113.2'], ranges: ['10.0.0.0/8'] });
  assert.equal(servedPorts(service({ ports }), [], 'local')[0]?.nodePort, undefined);
});

test('endpoints on this node are known apart', () => {
  const endpoints = [end('10.0.0.1'), end('10.0.0.2', {}, 'other'), end('10.0.0.3', { ready: false, serving: true })];
  const [served] = servedPorts(service({ internalTrafficPolicy: 'Local' }), [slice(endpoints)], 'local');
  assert.deepEqual([served?.isInsideLocal, served?.isOutsideLocal], [true, false]);
  assert.deepEqual(served?.localEndpoints, [{ address: '10.0.0.1', port: 8080 }]);
  assert.equal(served?.endpoints.length, 2);
});

test('a client keeps its endpoint for three hours, unless the Service says how long', () => {
  const seconds = (spec: CoreService['spec']) => servedPorts(service(spec), [], 'local')[0]?.affinitySeconds;
  assert.equal(seconds({}), undefined);
  assert.equal(seconds({ sessionAffinity: 'ClientIP' }), 10_800);
  const config = { clientIP: { timeoutSeconds: 60 } };
  assert.equal(seconds({ sessionAffinity: 'ClientIP', sessionAffinityConfig: config }), 60);
});
