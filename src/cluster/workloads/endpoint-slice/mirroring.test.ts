import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openWorld } from '../../../../test/world.ts';
import { type Endpoints, EndpointsKind } from '../../../api/core/endpoints.ts';
import { CoreServiceKind } from '../../../api/core/service.ts';
import { type EndpointSlice, EndpointSliceKind } from '../../../api/discovery/endpoint-slice.ts';
import { workloadControllers } from '../index.ts';

const namespace = 'default';

const endpoints = (name: string, subsets: Endpoints['subsets'], labels: Record<string, string> = {}): Endpoints => ({
  apiVersion: 'v1',
  kind: 'Endpoints',
  metadata: { name, namespace, labels },
  ...(subsets && { subsets }),
});

const shown = (slices: EndpointSlice[]) =>
  slices
    .map(({ addressType, endpoints, ports }) => {
      const all = endpoints.map(({ addresses, conditions }) => `${addresses[0]}${conditions?.ready ? '' : '?'}`);
      return `${addressType} ${all.join(' ')} :${ports?.map(({ port }) => port).join()}`;
    })
    .sort();

test('Endpoints that somebody writes for a Service without a selector become slices, and follow them', async (t) => {
  const world = await openWorld({ controllers: workloadControllers() });
  t.after(() => world.stop());
  const { client } = world;
  const service = (name: string, selector?: Record<string, string>) =>
    client.create(CoreServiceKind, {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, namespace },
      spec: { ports: [{ port: 80 }], ...(selector && { selector }) },
    });
  const slicesOf = (name: string, expected: string[]) =>
    world.untilAll(EndpointSliceKind, namespace, (all) => {
      const own = all.filter(({ metadata }) => metadata.labels?.['kubernetes.io/service-name'] === name);
      return JSON.stringify(shown(own)) === JSON.stringify(expected);
    });

  await service('db');
  const subsets = [
    {
      addresses: [{ ip: '192.0.2.1', hostname: 'db-0' }, { ip: 'fd00::1' }],
      notReadyAddresses: [{ ip: '192.0.2.2' }],
      ports: [{ port: 5432 }],
    },
    { addresses: [{ ip: '192.0.2.3' }], ports: [{ port: 5433 }] },
  ];
  await client.create(EndpointsKind, endpoints('db', subsets, { tier: 'data' }));
  const made = await slicesOf('db', ['IPv4 192.0.2.1 192.0.2.2? :5432', 'IPv4 192.0.2.3 :5433', 'IPv6 fd00::1 :5432']);
  const own = made.filter(({ metadata }) => metadata.labels?.tier === 'data');
  assert.equal(own.length, 3, 'with the labels of the Endpoints');
  const managedBy = own[0]?.metadata.labels?.['endpointslice.kubernetes.io/managed-by'];
  assert.equal(managedBy, 'endpointslicemirroring-controller.k8s.io');
  assert.ok(own.some((slice) => slice.endpoints.some(({ hostname }) => hostname === 'db-0')));

  const patch = { subsets: [{ addresses: [{ ip: '192.0.2.9' }], ports: [{ port: 5432 }] }] };
  await client.patch(EndpointsKind, { namespace, name: 'db' }, { type: 'merge', patch });
  await slicesOf('db', ['IPv4 192.0.2.9 :5432']);
  await client.delete(CoreServiceKind, { namespace, name: 'db' });
  await slicesOf('db', []);
  await service('db');
  await slicesOf('db', ['IPv4 192.0.2.9 :5432']);
  await client.delete(EndpointsKind, { namespace, name: 'db' });
  await slicesOf('db', []);

  await service('selected', { app: 'x' });
  await client.create(EndpointsKind, endpoints('selected', subsets));
  await service('skipped');
  await client.create(
    EndpointsKind,
    endpoints('skipped', subsets, { 'endpointslice.kubernetes.io/skip-mirror': 'true' }),
  );
  await service('last');
  await client.create(EndpointsKind, endpoints('last', patch.subsets));
  await slicesOf('last', ['IPv4 192.0.2.9 :5432']);
  await slicesOf('skipped', []);
  await slicesOf('selected', ['IPv4  :']);
});
