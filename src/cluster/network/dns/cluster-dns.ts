import { NamespaceKind } from '../../../api/core/namespace.ts';
import { CoreServiceKind } from '../../../api/core/service.ts';
import { EndpointSliceKind } from '../../../api/discovery/endpoint-slice.ts';
import type { Kind } from '../../../api/kind.ts';
import { type KubeObject, keyOf, keyText } from '../../../api/meta.ts';
import type { Client } from '../../../kube/client.ts';
import { Informer } from '../../../kube/informer.ts';
import type { Clock } from '../../../lib/clock.ts';
import { type Ipv4Block, isInBlock } from '../../../lib/ipv4.ts';
import { ownAddresses } from '../../../lib/own-addresses.ts';
import type { Logger } from '../../../observe/log.ts';
import type { Metrics } from '../../../observe/metrics.ts';
import { NameIndex } from './cluster-names.ts';
import { Forwarder } from './forwarder.ts';
import { resolve } from './resolver.ts';
import { type DnsServer, startDnsServer } from './server.ts';
import { nameOf } from './wire/name.ts';

/** Where everybody asks. */
export const dnsPort = 53;

export interface ClusterDnsOptions {
  client: Pick<Client, 'watch'>;
  /** Where it listens: an address that pods reach and nobody else. */
  address: string;
  /** `dnsPort` unless given. */
  port?: number;
  /** For example `cluster.local`. */
  domain: string;
  /** At which pods are told to ask: of the Service `kube-system/kube-dns`. */
  serviceAddress: string;
  /** Of pods and Services. */
  blocks: readonly Ipv4Block[];
  /** The host's; `/etc/resolv.conf` unless given. */
  resolvConf?: string;
  /** Where the host's DNS servers listen; 53 but in tests. */
  upstreamPort?: number;
  clock: Clock;
  log: Logger;
  metrics?: Metrics | undefined;
}

export interface ClusterDns extends DnsServer {
  /** Resolves when all names of the cluster are known; until then questions about them fail. */
  synced: Promise<unknown>;
}

/** Answers pods: names of the cluster from what its API says, all others as the host's DNS servers do. */
export async function startClusterDns(options: ClusterDnsOptions): Promise<ClusterDns> {
  const { address, blocks, client, clock, domain, log, metrics, port = dnsPort, serviceAddress } = options;
  const index = new NameIndex();
  const informerOf = <T extends KubeObject>(kind: Kind<T>) => new Informer(client, kind, { clock, log, metrics });
  const [services, slices] = [informerOf(CoreServiceKind), informerOf(EndpointSliceKind)];
  const namespaces = informerOf(NamespaceKind);
  const informers = [services, slices, namespaces];
  services.onChange((type, service) => {
    index.setService(keyText(keyOf(service)), type === 'DELETED' ? undefined : service);
  });
  slices.onChange((type, slice, old) => index.setSlice(old, type === 'DELETED' ? undefined : slice));
  namespaces.onChange((type, { metadata }) => index.setNamespace(metadata.name, type !== 'DELETED'));
  const isOurs = (candidate: string) => blocks.some((block) => isInBlock(block, candidate));
  const zone = { domain: nameOf(domain), serverAddress: serviceAddress, names: index, isOurs };
  const { resolvConf = '/etc/resolv.conf', upstreamPort } = options;
  const forwarder = new Forwarder({ resolvConf, ownAddresses: [address, serviceAddress], clock, log, upstreamPort });
  const isReady = () => informers.every((informer) => informer.isSynced);
  const isOwn = ownAddresses(clock);
  const server = await startDnsServer({
    address,
    port,
    isClient: (candidate) => isOurs(candidate) || isOwn(candidate),
    resolve: (message, transport) => resolve(message, transport, { zone, isReady, forwarder }),
    log,
    metrics,
  });
  for (const informer of informers) informer.start();
  return {
    port: server.port,
    synced: Promise.all(informers.map((informer) => informer.synced)),
    async stop() {
      await Promise.all([server.stop(), ...informers.map((informer) => informer.stop())]);
    },
  };
}
