import type { CoreService } from '../../../api/core/service.ts';
import type { ServicePort } from '../../../api/core/service-spec.ts';
import { headless } from '../../../api/core/service-spec.ts';
import type { Endpoint, EndpointSlice } from '../../../api/discovery/endpoint-slice.ts';
import { ipv4Number } from '../../../lib/ipv4.ts';
import { parseCidr } from '../cidr.ts';

/** One port of a Service, as far as packets are concerned. */
export interface ServedPort {
  /** `default/web/tcp/http`: no two have the same. */
  name: string;
  protocol: 'tcp' | 'udp' | 'sctp';
  /** The Service's own. */
  clusterIp: string;
  port: number;
  nodePort?: number;
  /** Further addresses that lead here: `externalIPs`, and those of a load balancer. */
  externalIps: readonly string[];
  /** Of those, the load balancer's, with whom they serve; all the world when absent. */
  sources?: { ips: readonly string[]; ranges: readonly string[] };
  /** For `internalTrafficPolicy` and `externalTrafficPolicy`. */
  isInsideLocal: boolean;
  isOutsideLocal: boolean;
  /** How long a client keeps its endpoint; absent: each connection has another. */
  affinitySeconds?: number;
  /** Where connections may lead, in a stable order; and of these, the ones on this node. */
  endpoints: readonly Target[];
  localEndpoints: readonly Target[];
}

export interface Target {
  address: string;
  port: number;
}

/** Another program takes care of Services with this label. */
const otherProxyLabel = 'service.kubernetes.io/service-proxy-name';
const affinitySecondsDefault = 10_800;

/**
 * The ports of a Service that need rules, with those of its endpoints that take traffic: the ready ones; when no one
 * is, those that still serve while they end (as kube-proxy has it). None for what has no address of its own.
 */
export function servedPorts(service: CoreService, slices: readonly EndpointSlice[], nodeName: string): ServedPort[] {
  const { spec, metadata, status } = service;
  const { clusterIP } = spec;
  if (spec.type === 'ExternalName' || metadata.labels?.[otherProxyLabel] !== undefined) return [];
  if (clusterIP === undefined || clusterIP === headless || !isIpv4(clusterIP)) return [];
  const isOutside = spec.type === 'NodePort' || spec.type === 'LoadBalancer';
  const balancers = (spec.type === 'LoadBalancer' ? (status?.loadBalancer?.ingress ?? []) : [])
    .filter(({ ipMode }) => ipMode === undefined || ipMode === 'VIP')
    .flatMap(({ ip }) => (ip !== undefined && isIpv4(ip) ? [ip] : []));
  const ranges = (spec.loadBalancerSourceRanges ?? []).map((range) => range.trim()).filter((range) => parseCidr(range));
  return (spec.ports ?? []).map((port) => {
    const { all, local } = targetsOf(port, slices, nodeName);
    const served: ServedPort = {
      name: `${metadata.namespace}/${metadata.name}/${protocolOf(port)}/${port.name || port.port}`,
      protocol: protocolOf(port),
      clusterIp: clusterIP,
      port: port.port,
      externalIps: [...(spec.externalIPs ?? []).filter(isIpv4), ...balancers],
      isInsideLocal: spec.internalTrafficPolicy === 'Local',
      isOutsideLocal: spec.externalTrafficPolicy === 'Local',
      endpoints: all,
      localEndpoints: local,
    };
    if (isOutside && port.nodePort) served.nodePort = port.nodePort;
    if (balancers.length > 0 && ranges.length > 0) served.sources = { ips: balancers, ranges };
    if (spec.sessionAffinity === 'ClientIP') {
      served.affinitySeconds = spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? affinitySecondsDefault;
    }
    return served;
  });
}

interface Found extends Target {
  isReady: boolean;
  isServingToTheEnd: boolean;
  isLocal: boolean;
}

function targetsOf(port: ServicePort, slices: readonly EndpointSlice[], nodeName: string) {
  // One that stands in two slices for a moment counts once, as the better of both.
  const found = new Map<string, Found>();
  for (const slice of slices) {
    if (slice.addressType !== 'IPv4') continue;
    const number = slice.ports?.find(
      (each) => (each.name ?? '') === (port.name ?? '') && (each.protocol ?? 'TCP') === (port.protocol ?? 'TCP'),
    )?.port;
    if (number === undefined) continue;
    for (const endpoint of slice.endpoints) {
      const [address] = endpoint.addresses;
      if (address === undefined || !isIpv4(address)) continue;
      const key = `${address}:${number}`;
      const state = stateOf(endpoint, nodeName);
      if (!found.get(key)?.isReady) found.set(key, { address, port: number, ...state });
    }
  }
  const every = [...found.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, each]) => each);
  return { all: usable(every), local: usable(every.filter(({ isLocal }) => isLocal)) };
}

function usable(found: readonly Found[]): Target[] {
  const ready = found.filter(({ isReady }) => isReady);
  const those = ready.length > 0 ? ready : found.filter(({ isServingToTheEnd }) => isServingToTheEnd);
  return those.map(({ address, port }) => ({ address, port }));
}

/** What is not said counts as ready, serving as ready, and not terminating (EndpointConditions of discovery/v1). */
function stateOf({ conditions, nodeName: on }: Endpoint, nodeName: string) {
  const isReady = conditions?.ready ?? true;
  const isServing = conditions?.serving ?? isReady;
  return { isReady, isServingToTheEnd: isServing && (conditions?.terminating ?? false), isLocal: on === nodeName };
}

const isIpv4 = (text: string) => ipv4Number(text) !== undefined;

const protocols = { TCP: 'tcp', UDP: 'udp', SCTP: 'sctp' } as const;
const protocolOf = ({ protocol = 'TCP' }: ServicePort) => protocols[protocol as keyof typeof protocols] ?? 'tcp';
