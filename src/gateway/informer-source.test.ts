import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { openWorld } from '../../test/world.ts';
import { EndpointSliceKind, serviceNameLabel } from '../api/discovery/endpoint-slice.ts';
import { apiVersionOf } from '../api/kind.ts';
import { IngressKind } from '../api/networking/ingress.ts';
import { systemClock } from '../lib/clock.ts';
import { silentLogger } from '../observe/log.ts';
import { informerSource } from './informer-source.ts';
import type { Snapshot } from './snapshot.ts';

describe('the source of snapshots', () => {
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
    const snapshots: Snapshot[] = [];
    let onNext = () => {};
    const source = informerSource(client, systemClock, silentLogger);
    await source.start((snapshot) => {
      snapshots.push(snapshot);
      onNext();
    });
    assert.deepEqual(snapshots.at(-1)?.revisions.get('default/r')?.endpoints, []);
    const next = new Promise<void>((resolve) => {
      onNext = resolve;
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
    assert.deepEqual(snapshots.at(-1)?.revisions.get('default/r')?.endpoints, [{ host: '127.0.0.1', port: 4000 }]);
    await source.stop();
    await world.stop();
  });
});
