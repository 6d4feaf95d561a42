import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from '../../../api/core/pod.ts';
import type { CoreService } from '../../../api/core/service.ts';
import type { ServicePort } from '../../../api/core/service-spec.ts';
import type { EndpointSlice } from '../../../api/discovery/endpoint-slice.ts';
import { type EndpointGroup, fitSlices, groupsOf } from './slices.ts';

const service = (...ports: ServicePort[]): CoreService => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 's', namespace: 'n' },
  spec: { selector: { app: 'a' }, ports },
});

function pod(
  name: string,
  traits: { ip?: string; ready?: boolean; mapped?: string; deleting?: boolean; phase?: 'Failed' } = {},
): Pod {
  const { ip = '127.0.0.1', ready = true, mapped, deleting, phase } = traits;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace: 'n',
      uid: `uid-${name}`,
      ...(mapped === undefined ? {} : { annotations: { 'node.kittiwake.dev/ports': mapped } }),
      ...(deleting ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {}),
    },
    spec: { nodeName: 'local', containers: [{ name: 'c', ports: [{ name: 'http', containerPort: 8080 }] }] },
    status: {
      phase: phase ?? 'Running',
      ...(ip === '' ? {} : { podIP: ip }),
      conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
    },
  };
}

test('a pod that names a Service as its subdomain has its hostname there', () => {
  const named = (hostname: string, subdomain: string) => {
    const made = pod('a');
    return groupsOf(service(), [{ ...made, spec: { ...made.spec, hostname, subdomain } }])[0]?.endpoints[0]?.hostname;
  };
  assert.equal(named('a-0', 's'), 'a-0');
  assert.equal(named('a-0', 'other'), undefined);
});

const http: ServicePort = { name: 'http', port: 80, targetPort: 'http' };

test('pods with different mapped ports are in groups of their own', () => {
  const groups = groupsOf(service(http), [
    pod('a', { mapped: '{"8080":41000}' }),
    pod('b', { mapped: '{"8080":42000}' }),
    pod('c', { mapped: '{"8080":41000}' }),
  ]);
  assert.deepEqual(
    groups.map(({ ports, endpoints }) => [ports[0]?.port, endpoints.map((e) => e.targetRef?.name)]),
    [
      [41000, ['a', 'c']],
      [42000, ['b']],
    ],
  );
});

test('a target port is found by name, by number, or is the port itself', () => {
  const port = (given: ServicePort, mapped?: string) =>
    groupsOf(service(given), [pod('a', mapped === undefined ? {} : { mapped })])[0]?.ports[0]?.port;
  assert.equal(port({ port: 80, targetPort: 'http' }), 8080);
  assert.equal(port({ port: 80, targetPort: 9090 }), 9090);
  assert.equal(port({ port: 8080 }, '{"8080":5}'), 5);
  assert.equal(port({ port: 80, targetPort: 'absent' }), undefined);
  assert.equal(port({ port: 80, targetPort: 8080 }, 'not json'), 8080);
});

test('an endpoint says whether its pod takes new traffic', () => {
  const conditions = (given: Pod, changes: Partial<CoreService['spec']> = {}) => {
    const of = service(http);
    return groupsOf({ ...of, spec: { ...of.spec, ...changes } }, [given])[0]?.endpoints[0]?.conditions;
  };
  assert.deepEqual(conditions(pod('a')), { ready: true, serving: true, terminating: false });
  assert.deepEqual(conditions(pod('a', { ready: false })), { ready: false, serving: false, terminating: false });
  assert.deepEqual(conditions(pod('a', { deleting: true })), { ready: false, serving: true, terminating: true });
  assert.equal(conditions(pod('a', { ready: false }), { publishNotReadyAddresses: true })?.ready, true);
  assert.equal(conditions(pod('a', { ip: '' })), undefined);
  assert.equal(conditions(pod('a', { phase: 'Failed' })), undefined);
});

test('more endpoints than a slice holds are shared out', () => {
  const pods = Array.from({ length: 250 }, (_, i) => pod(`p${i}`));
  assert.deepEqual(
    groupsOf(service(http), pods).map((g) => g.endpoints.length),
    [100, 100, 50],
  );
});

const group = (port: number, ...addresses: string[]): EndpointGroup => ({
  ports: [{ name: '', port, protocol: 'TCP' }],
  endpoints: addresses.map((address) => ({ addresses: [address] })),
});
const slice = (name: string, given: EndpointGroup): EndpointSlice => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { name },
  addressType: 'IPv4',
  ...given,
});

test('slices that are right are not written', () => {
  const changes = fitSlices([group(1, 'a')], [slice('s1', group(1, 'a'))]);
  assert.deepEqual(changes, { update: [], create: [], remove: [] });
});

test('going to zero empties the slice, and coming back reuses it for other ports', () => {
  const emptied = fitSlices([], [slice('s1', group(1, 'a'))]);
  assert.deepEqual(
    emptied.update.map((s) => [s.metadata.name, s.endpoints]),
    [['s1', []]],
  );
  assert.deepEqual([emptied.create, emptied.remove], [[], []]);
  const back = fitSlices([group(2, 'b')], emptied.update);
  assert.deepEqual(back.update, [slice('s1', group(2, 'b'))]);
  assert.deepEqual([back.create, back.remove], [[], []]);
});

test('a group keeps the slice of its ports; what is left over is removed', () => {
  const slices = [slice('s1', group(1, 'a')), slice('s2', group(2, 'b'))];
  const changes = fitSlices([group(2, 'b', 'c')], slices);
  assert.deepEqual(
    changes.update.map((s) => s.metadata.name),
    ['s2'],
  );
  assert.deepEqual(
    changes.remove.map((s) => s.metadata.name),
    ['s1'],
  );
});

test('a Service without endpoints has one empty slice', () => {
  assert.deepEqual(fitSlices([], []).create, [{ ports: [], endpoints: [] }]);
});
