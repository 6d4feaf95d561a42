import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { apiVersionOf } from '../api/kind.ts';
import { type Ingress, IngressKind } from '../api/networking/ingress.ts';
import { routesOf as routesOfIngress } from './routes/ingress.ts';
import { closing, host, routesOf, startReplyOrigin, startTestGateway, statusOf } from './testing/fixture.ts';

describe('a host for the cluster alone', () => {
  it('is there for clients inside, and for others as if it were not', async (t) => {
    const origin = await startReplyOrigin(t);
    const routes = routesOf([origin.port]);
    const local = new Map(
      [...routes.hosts].map(([name, all]) => [name, all?.map((r) => ({ ...r, isClusterLocal: true }))]),
    );
    const asked: string[] = [];
    let isInside = true;
    const gateway = await startTestGateway(
      t,
      { ...routes, hosts: local },
      {
        isInside(address) {
          asked.push(address);
          return isInside;
        },
      },
    );
    assert.equal(statusOf(await gateway.request('GET /', closing).ended()), 200);
    isInside = false;
    const refused = await gateway.request('GET /', closing).ended();
    assert.equal(statusOf(refused), 404);
    gateway.publish({ hosts: new Map(), targets: new Map() });
    assert.deepEqual(asked, ['127.0.0.1', '127.0.0.1']);
    gateway.publish(routes);
    assert.equal(statusOf(await gateway.request('GET /', closing).ended()), 200, 'a public one is there for all');
    assert.equal(asked.length, 2);
  });

  it('is one of a rule that says so', () => {
    const splits = [{ serviceNamespace: 'd', serviceName: 's', servicePort: 80, percent: 100 }];
    const rule = (visibility: 'ExternalIP' | 'ClusterLocal', name: string) => ({
      hosts: [name],
      visibility,
      http: { paths: [{ splits }] },
    });
    const ingress = {
      apiVersion: apiVersionOf(IngressKind),
      kind: IngressKind.kind,
      metadata: { name: 'i', namespace: 'd' },
      spec: { rules: [rule('ExternalIP', host), rule('ClusterLocal', 's.d.svc.cluster.local')] },
    } as Ingress;
    const found = routesOfIngress(ingress, []);
    assert.equal(found.get(host)?.[0]?.isClusterLocal, undefined);
    assert.equal(found.get('s.d.svc.cluster.local')?.[0]?.isClusterLocal, true);
  });
});
