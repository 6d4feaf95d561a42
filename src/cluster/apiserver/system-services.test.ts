import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EndpointsKind } from '../../api/core/endpoints.ts';
import { CoreServiceKind } from '../../api/core/service.ts';
import { EndpointSliceKind } from '../../api/discovery/endpoint-slice.ts';
import type { Kind } from '../../api/kind.ts';
import { until } from '../../lib/testing/until.ts';
import { defaultServiceNetwork } from '../service-network.ts';
import { openApi } from './testing/open-api.ts';

test('the Service default/kubernetes leads to the API server, and comes back when somebody deletes it', async (t) => {
  const { api, clock } = await openApi(t);
  const { client } = api;
  const key = { namespace: 'default', name: 'kubernetes' };
  assert.equal(await client.get(CoreServiceKind, key), undefined, 'there is no port to lead to');
  const port = Number(new URL((await api.listen({ port: 0 })).url).port);
  const service = await client.get(CoreServiceKind, key);
  assert.deepEqual(service?.metadata.labels, { component: 'apiserver', provider: 'kubernetes' });
  assert.deepEqual(service?.spec.ports, [{ name: 'https', port: 443, protocol: 'TCP', targetPort: port }]);
  assert.equal(service?.spec.clusterIP, '10.96.0.1');
  const endpoints = await client.get(EndpointsKind, key);
  assert.deepEqual(endpoints?.subsets?.[0]?.addresses, [{ ip: '127.0.0.1' }]);
  const slice = await client.get(EndpointSliceKind, key);
  assert.equal(slice?.metadata.labels?.['kubernetes.io/service-name'], 'kubernetes');
  assert.deepEqual(slice?.endpoints[0]?.addresses, ['127.0.0.1']);
  assert.equal(slice?.ports?.[0]?.port, port);

  const revision = api.pipeline.resourceVersion;
  await clock.advance(60_000);
  assert.equal(api.pipeline.resourceVersion, revision, 'what is right is not written again');
  await client.delete(CoreServiceKind as unknown as Kind, key);
  await client.patch(EndpointSliceKind, key, { type: 'merge', patch: { endpoints: [] } });
  await clock.advance(10_000);
  const again = async () => [await client.get(CoreServiceKind, key), await client.get(EndpointSliceKind, key)] as const;
  for (;;) {
    const [made, mended] = await again();
    if (made && mended?.endpoints.length === 1) break;
    await new Promise((resolve) => setImmediate(resolve));
  }
});

test('a Service for what is no pod has the address that is kept for it, and leads where it should', async (t) => {
  const serviceNetwork = { ...defaultServiceNetwork, reserved: { 'tools/hammer': 11 } };
  const { api, clock } = await openApi(t, { namespaces: ['tools'], serviceNetwork });
  const { client } = api;
  const key = { namespace: 'tools', name: 'hammer' };
  const ports = [
    { name: 'dns', port: 53, protocol: 'UDP' as const, target: 5300 },
    { name: 'dns-tcp', port: 53, target: 5300 },
  ];
  await api.keep([{ ...key, ports, address: '10.244.0.1' }]);
  const service = await client.get(CoreServiceKind, key);
  assert.equal(service?.spec.clusterIP, '10.96.0.11');
  assert.deepEqual(
    service?.spec.ports?.map(({ protocol, port, targetPort }) => `${protocol} ${port} ${targetPort}`),
    ['UDP 53 5300', 'TCP 53 5300'],
  );
  const slice = await client.get(EndpointSliceKind, key);
  assert.deepEqual(slice?.endpoints[0]?.addresses, ['10.244.0.1']);
  assert.deepEqual(
    slice?.ports?.map(({ protocol, port }) => `${protocol} ${port}`),
    ['UDP 5300', 'TCP 5300'],
  );
  const spec = { sessionAffinity: 'ClientIP', ports: [{ port: 1 }] };
  await client.patch(CoreServiceKind, key, { type: 'merge', patch: { spec } });
  await clock.advance(10_000);
  await until(async () => (await client.get(CoreServiceKind, key))?.spec.ports?.length === 2);
  assert.equal((await client.get(CoreServiceKind, key))?.spec.sessionAffinity, 'ClientIP', "the rest is the user's");
});
