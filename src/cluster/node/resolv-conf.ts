/** What a pod's /etc/resolv.conf says, as the kubelet has it (pkg/kubelet/network/dns). */
import type { Pod } from '../../api/core/pod.ts';
import type { PodSpec } from '../../api/core/pod-spec.ts';
import { mergeOptions, parseResolvConf, type ResolvConf } from '../../lib/resolv-conf.ts';

/** What the node knows of names. */
export interface NodeDns {
  /** Addresses of the cluster's DNS, as pods reach it; none where there is none. */
  nameservers: readonly string[];
  /** For example `cluster.local`. */
  domain: string;
  /** The host's resolv.conf, as it is now. */
  hostConf: string;
}

export interface PodResolvConf {
  text: string;
  /** For the pod's Events: each with its reason, in the kubelet's words. */
  warnings: { reason: 'DNSConfigForming' | 'MissingClusterDNS'; message: string }[];
}

/** What the C libraries stand (k8s.io/kubernetes/pkg/apis/core/validation). */
const nameserversMax = 3;
const searchesMax = 32;
const searchCharactersMax = 2048;
const searchLengthMax = 253;

const clusterOptions = ['ndots:5'];

export function resolvConf(pod: Pod, node: NodeDns): PodResolvConf {
  const warnings: PodResolvConf['warnings'] = [];
  const conf = withOwn(baseOf(pod, node, warnings), pod.spec.dnsConfig);
  const nameservers = conf.nameservers.slice(0, nameserversMax);
  if (nameservers.length < conf.nameservers.length) {
    const message =
      'Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: ' +
      nameservers.join(' ');
    warnings.push({ reason: 'DNSConfigForming', message });
  }
  const searches = withinLimits(conf.searches);
  if (searches.length < conf.searches.length) {
    const message =
      'Search Line limits were exceeded, some search paths have been omitted, the applied search line is: ' +
      searches.join(' ');
    warnings.push({ reason: 'DNSConfigForming', message });
  }
  const lines = [
    ...(searches.length > 0 ? [`search ${searches.join(' ')}`] : []),
    ...nameservers.map((address) => `nameserver ${address}`),
    ...(conf.options.length > 0 ? [`options ${conf.options.join(' ')}`] : []),
  ];
  return { text: lines.map((line) => `${line}\n`).join(''), warnings };
}

function baseOf(pod: Pod, node: NodeDns, warnings: PodResolvConf['warnings']): ResolvConf {
  const { dnsPolicy = 'ClusterFirst', hostNetwork = false } = pod.spec;
  const host = parseResolvConf(node.hostConf);
  if (dnsPolicy === 'None') return { nameservers: [], searches: [], options: [] };
  const isCluster = dnsPolicy === 'ClusterFirstWithHostNet' || (dnsPolicy === 'ClusterFirst' && !hostNetwork);
  if (isCluster && node.nameservers.length > 0) {
    const { domain } = node;
    const own = [`${pod.metadata.namespace ?? 'default'}.svc.${domain}`, `svc.${domain}`, domain];
    return {
      nameservers: [...node.nameservers],
      searches: unique([...own, ...host.searches]),
      options: clusterOptions,
    };
  }
  if (isCluster) {
    const { namespace = 'default', name, uid = '' } = pod.metadata;
    const message =
      `pod: "${name}_${namespace}(${uid})". kubelet does not have ClusterDNS IP configured and cannot create Pod ` +
      'using "ClusterFirst" policy. Falling back to "Default" policy.';
    warnings.push({ reason: 'MissingClusterDNS', message });
  }
  return hostNetwork ? host : { ...host, nameservers: reachable(host.nameservers, node.nameservers) };
}

/** The host's loopback is not the pod's: the cluster's DNS, which asks there, stands for what listens on it. */
function reachable(nameservers: readonly string[], ofCluster: readonly string[]): string[] {
  return unique(nameservers.flatMap((address) => (/^(127\.|::1$)/.test(address) ? ofCluster : [address])));
}

function withOwn(conf: ResolvConf, own: PodSpec['dnsConfig']): ResolvConf {
  if (!own) return conf;
  const options = (own.options ?? []).flatMap(({ name, value }) => (name ? [value ? `${name}:${value}` : name] : []));
  return {
    nameservers: unique([...conf.nameservers, ...(own.nameservers ?? [])]),
    searches: unique([...conf.searches, ...(own.searches ?? []).map((path) => path.replace(/(.)\.$/, '$1'))]),
    // The API takes any text: what would be a line of its own is none.
    options: mergeOptions(
      conf.options,
      options.filter((option) => !/\s/.test(option)),
    ),
  };
}

function withinLimits(searches: readonly string[]): string[] {
  const fitting = searches.slice(0, searchesMax).filter((path) => path.length <= searchLengthMax);
  while (fitting.join(' ').length > searchCharactersMax) fitting.pop();
  return fitting;
}

const unique = (texts: readonly string[]): string[] => [...new Set(texts)];
