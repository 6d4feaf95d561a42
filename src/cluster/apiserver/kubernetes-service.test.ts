import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EndpointsKind } from '../../api/core/endpoints.ts';
import { CoreServiceKind } from '../../api/core/service.ts';
import { EndpointSliceKind } from '../../api/discovery/endpoint-slice.ts';
import type { Kind } from '../../api/kind.ts';
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
