/** What pods find of the platform itself: Services with addresses that are known before they are there. */
import { gatewayServiceName, systemNamespace } from '../../api/serving/names.ts';
import type { SystemService } from '../../cluster/apiserver/index.ts';
import { cidrText } from '../../cluster/network/cidr.ts';
import { dnsPort } from '../../cluster/network/dns/index.ts';
import type { NetworkPlan } from '../../cluster/network/index.ts';
import { defaultServiceNetwork, reservedAddress, type ServiceNetwork } from '../../cluster/service-network.ts';
import { loopback } from '../../observe/listen.ts';
import type { Config } from '../config.ts';

/** As Knative calls it. */
const brokerIngress = { namespace: 'knative-eventing', name: 'broker-ingress' };
const gateway = { namespace: systemNamespace, name: gatewayServiceName };

const keyOf = ({ name, namespace }: { name: string; namespace: string }) => `${namespace}/${name}`;

/** The range that this platform has claimed for its Services. */
export function serviceNetworkOf({ serviceRange }: Pick<NetworkPlan, 'serviceRange'>): ServiceNetwork {
  const reserved = { ...defaultServiceNetwork.reserved, [keyOf(brokerIngress)]: 11, [keyOf(gateway)]: 12 };
  return { ...defaultServiceNetwork, cidr: cidrText(serviceRange), reserved };
}

/** Of the broker's ingress: in numbers, as processes know no names of the cluster, and no pod knows what it will be. */
export function brokerUrlOf(plan: Pick<NetworkPlan, 'serviceRange'>): string {
  return `http://${reservedAddress(serviceNetworkOf(plan), keyOf(brokerIngress))}`;
}

/** Those whose namespaces are there. */
export function platformServices(
  { gatewayAddress }: Pick<NetworkPlan, 'gatewayAddress'>,
  { bindAddress, ports }: Pick<Config, 'bindAddress' | 'ports'>,
  namespaces: readonly string[],
): SystemService[] {
  // Who listens everywhere does so on loopback, too.
  const address = bindAddress === '0.0.0.0' || bindAddress === '::' ? loopback : bindAddress;
  const services: SystemService[] = [
    {
      namespace: 'kube-system',
      name: 'kube-dns',
      labels: { 'k8s-app': 'kube-dns', 'kubernetes.io/cluster-service': 'true' },
      ports: [
        { name: 'dns', port: 53, protocol: 'UDP', target: dnsPort },
        { name: 'dns-tcp', port: 53, protocol: 'TCP', target: dnsPort },
      ],
      address: gatewayAddress,
    },
    { ...brokerIngress, ports: [{ name: 'http', port: 80, target: ports.broker }], address },
    { ...gateway, ports: [{ name: 'http2', port: 80, target: ports.gateway }], address },
  ];
  return services.filter(({ namespace }) => namespace === 'kube-system' || namespaces.includes(namespace));
}
