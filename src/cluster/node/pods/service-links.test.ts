import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CoreService } from '../../../api/core/service.ts';
import { linkedServices, serviceVariables } from './service-links.ts';

const service = (name: string, clusterIP: string | undefined, ports: object[], namespace = 'default') =>
  ({ metadata: { name, namespace }, spec: { clusterIP, ports } }) as unknown as CoreService;

test('a Service is told of by the variables that Kubernetes and Docker had for it', () => {
  const ports = [
    { name: 'http-api', port: 8080 },
    { name: 'dns', port: 53, protocol: 'UDP' },
  ];
  assert.deepEqual(serviceVariables([service('redis-primary', '10.0.0.11', ports)]), {
    REDIS_PRIMARY_SERVICE_HOST: '10.0.0.11',
    REDIS_PRIMARY_SERVICE_PORT: '8080',
    REDIS_PRIMARY_SERVICE_PORT_HTTP_API: '8080',
    REDIS_PRIMARY_SERVICE_PORT_DNS: '53',
    REDIS_PRIMARY_PORT: 'tcp://10.0.0.11:8080',
    REDIS_PRIMARY_PORT_8080_TCP: 'tcp://10.0.0.11:8080',
    REDIS_PRIMARY_PORT_8080_TCP_PROTO: 'tcp',
    REDIS_PRIMARY_PORT_8080_TCP_PORT: '8080',
    REDIS_PRIMARY_PORT_8080_TCP_ADDR: '10.0.0.11',
    REDIS_PRIMARY_PORT_53_UDP: 'udp://10.0.0.11:53',
    REDIS_PRIMARY_PORT_53_UDP_PROTO: 'udp',
    REDIS_PRIMARY_PORT_53_UDP_PORT: '53',
    REDIS_PRIMARY_PORT_53_UDP_ADDR: '10.0.0.11',
  });
  assert.equal(serviceVariables([service('six', 'fd00::1', [{ port: 1 }])]).SIX_PORT, 'tcp://[fd00::1]:1');
});

test("a pod is told of the API's Service, and of those of its namespace if it wants that", () => {
  const all = [
    service('kubernetes', '10.96.0.1', [{ port: 443 }]),
    service('db', '10.96.0.2', [{ port: 1 }], 'shop'),
    service('headless', 'None', [{ port: 1 }], 'shop'),
    service('external', undefined, [{ port: 1 }], 'shop'),
    service('kubernetes', '10.96.0.9', [{ port: 1 }], 'shop'),
    service('other', '10.96.0.3', [{ port: 1 }]),
  ];
  const services = {
    list: ({ namespace }: { namespace: string }) => all.filter((each) => each.metadata.namespace === namespace),
  };
  const names = (namespace: string, areLinked: boolean) =>
    linkedServices(services, namespace, areLinked).map(({ spec }) => spec?.clusterIP);
  assert.deepEqual(names('shop', true), ['10.96.0.1', '10.96.0.2']);
  assert.deepEqual(names('shop', false), ['10.96.0.1']);
  assert.deepEqual(names('default', true), ['10.96.0.1', '10.96.0.3']);
});
