import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { openWorld } from '../../../test/world.ts';
import { CoreServiceKind } from '../../api/core/service.ts';
import { EndpointSliceKind, serviceNameLabel } from '../../api/discovery/endpoint-slice.ts';
import { apiVersionOf } from '../../api/kind.ts';
import { IngressKind } from '../../api/networking/ingress.ts';
import { systemClock } from '../../lib/clock.ts';
import { silentLogger } from '../../observe/log.ts';
import type { Target } from './change.ts';
import { informerSource } from './informers.ts';

describe('the source of routes', () => {
  it('has what the API has at the start, and what changes after it', { timeout: 20_000 }, async () => {
    const world = await openWorld();
    const { client } = world;
    await client.create(IngressKind, {
      apiVersion: apiVersionOf(IngressKind),
      kind: 'Ingress',
      metadata: { name: 'i', namespace: 'default' },
      spec: {
        rules: [
          {
            hosts: ['h'],
            http: {
              paths: [{ splits: [{ serviceNamespace: 'default', serviceName: 'r', servicePort: 80, percent: 100 }] }],
            },
          },
        ],
      },
    });
    const targets = new Map<string, Target | undefined>();
    const hosts = new Set<string>();
    let onNext = () => {};
    const source = informerSource(client, systemClock, silentLogger);
    await source.start((change) => {
      for (const [key, target] of change.targets) targets.set(key, target);
      for (const [host, routes] of change.hosts) if (routes) hosts.add(host);
      for (const [host, routes] of change.hosts) if (!routes) hosts.delete(host);
      onNext();
    });
    const endpoints = () => targets.get('default/r:80')?.endpoints;
    assert.deepEqual(endpoints(), []);
    const next = new Promise<void>((resolve) => {
      onNext = () => endpoints()?.length === 1 && resolve();
    });
    await client.create(CoreServiceKind, {
      apiVersion: apiVersionOf(CoreServiceKind),
      kind: 'Service',
      metadata: { name: 'r', namespace: 'default' },
      spec: { ports: [{ name: 'http', port: 80 }] },
    });
    await client.create(EndpointSliceKind, {
      apiVersion: apiVersionOf(EndpointSliceKind),
      kind: 'EndpointSlice',
      metadata: { name: 'r-1', namespace: 'default', labels: { [serviceNameLabel]: 'r' } },
      addressType: 'IPv4',
      endpoints: [{ addresses: ['127.0.0.1'], conditions: { ready: true } }],
      ports: [{ name: 'http', port: 4000, protocol: 'TCP' }],
    });
    await next;
    assert.deepEqual(endpoints(), [{ host: '127.0.0.1', port: 4000 }]);
    const gone = new Promise<void>((resolve) => {
      onNext = () => !hosts.has('h') && resolve();
    });
    await client.delete(IngressKind, { namespace: 'default', name: 'i' });
    await gone;
    await source.stop();
    await world.stop();
  });

  it('tells nothing of a status that is written, and says up to which version all is told', async () => {
    const world = await openWorld();
    const { client } = world;
    const told: string[] = [];
    const versions: (string | undefined)[] = [];
    const source = informerSource(client, systemClock, silentLogger, () => versions.push(source.servedVersion()));
    assert.equal(source.servedVersion(), undefined);
    await source.start(({ hosts }) => told.push(...hosts.keys()));
    const ingressOf = (name: string) => ({
      apiVersion: apiVersionOf(IngressKind),
      kind: 'Ingress',
      metadata: { name, namespace: 'default' },
      spec: { rules: [{ hosts: [name], http: { paths: [] } }] },
    });
    const isServed = async (version = '') => {
      while (!(BigInt(versions.at(-1) ?? 0) >= BigInt(version))) await new Promise((resolve) => setImmediate(resolve));
    };
    const first = await client.create(IngressKind, ingressOf('first'));
    await isServed(first.metadata.resourceVersion);
    assert.deepEqual(told, ['first']);
    await client.update(IngressKind, { ...first, status: { observedGeneration: 1 } }, 'status');
    const second = await client.create(IngressKind, ingressOf('second'));
    await isServed(second.metadata.resourceVersion);
    assert.deepEqual(told, ['first', 'second']);
    await source.stop();
    await world.stop();
  });
});
