/** A cluster with a bit of everything that DNS tells of. */
import type { CoreService } from '../../../../api/core/service.ts';
import type { ServiceSpec } from '../../../../api/core/service-spec.ts';
import type { Endpoint, EndpointPort, EndpointSlice } from '../../../../api/discovery/endpoint-slice.ts';
import { ipv4Block, isInBlock } from '../../../../lib/ipv4.ts';
import { NameIndex } from '../cluster-names.ts';
import { nameOf } from '../wire/name.ts';
import type { Zone } from '../zone.ts';

export const service = (namespace: string, name: string, spec: ServiceSpec): CoreService => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { namespace, name },
  spec,
});

export const slice = (
  of: string,
  endpoints: Endpoint[],
  ports: EndpointPort[] = [],
  more: Partial<EndpointSlice> & { name?: string } = {},
): EndpointSlice => {
  const [namespace = '', service = ''] = of.split('/');
  const { name = `${service}-1`, ...rest } = more;
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { namespace, name, labels: { 'kubernetes.io/service-name': service } },
    addressType: 'IPv4',
    endpoints,
    ports,
    ...rest,
  };
};

const clusterIp = (address: string): ServiceSpec => ({ clusterIP: address, clusterIPs: [address] });
const none: ServiceSpec = { clusterIP: 'None', clusterIPs: ['None'] };

export function testCluster(): { index: NameIndex; zone: Zone } {
  const index = new NameIndex();
  const put = (made: CoreService) => index.setService(`${made.metadata.namespace}/${made.metadata.name}`, made);
  for (const name of ['default', 'shop']) index.setNamespace(name, true);
  put(service('default', 'kubernetes', { ...clusterIp('10.96.0.1'), ports: [{ name: 'https', port: 443 }] }));
  const ports = [
    { name: 'http', port: 80 },
    { name: 'dns', port: 53, protocol: 'UDP' as const },
  ];
  put(service('shop', 'web', { ...clusterIp('10.96.7.7'), ports }));
  put(service('shop', 'db', { ...none, ports: [{ name: 'sql', port: 5432 }] }));
  index.setSlice(
    undefined,
    slice(
      'shop/db',
      [
        { addresses: ['10.244.0.5'], hostname: 'db-0', conditions: { ready: true } },
        { addresses: ['10.244.0.6'], conditions: { ready: true } },
        { addresses: ['10.244.0.7'], hostname: 'db-2', conditions: { ready: false } },
      ],
      [{ name: 'sql', port: 5433, protocol: 'TCP' }],
    ),
  );
  const six = [{ addresses: ['fd00:0::8'], conditions: { ready: true } }];
  index.setSlice(undefined, slice('shop/db', six, [], { name: 'db-6', addressType: 'IPv6' }));
  put(service('shop', 'empty', none));
  put(service('shop', 'early', { ...none, publishNotReadyAddresses: true }));
  const notReady = [{ addresses: ['10.244.0.9'], hostname: 'early-0', conditions: { ready: false } }];
  index.setSlice(undefined, slice('shop/early', notReady));
  const named = (externalName: string): ServiceSpec => ({ type: 'ExternalName', externalName });
  put(service('shop', 'hello', named('web.shop.svc.cluster.local')));
  put(service('shop', 'outside', named('www.Example.com.')));
  put(service('shop', 'number', named('192.0.2.1')));
  put(service('shop', 'circle', named('circle.shop.svc.cluster.local')));
  put(service('shop', 'gone', named('nobody.shop.svc.cluster.local')));
  const blocks = ['10.96.0.0/16', '10.244.0.0/16'].flatMap((cidr) => ipv4Block(cidr) ?? []);
  const isOurs = (address: string) => blocks.some((block) => isInBlock(block, address));
  return { index, zone: { domain: nameOf('cluster.local'), serverAddress: '10.96.0.10', names: index, isOurs } };
}
