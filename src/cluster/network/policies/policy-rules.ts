import { createHash } from 'node:crypto';
import type { Namespace } from '../../../api/core/namespace.ts';
import type { Pod } from '../../../api/core/pod.ts';
import {
  type NetworkPolicy,
  type NetworkPolicyPeer,
  type NetworkPolicyPort,
  policyBlock,
} from '../../../api/networking/network-policy.ts';
import { selects } from '../../../api/selector.ts';
import { type Ipv4Block, ipv4Number, ipv4Text } from '../../../lib/ipv4.ts';
import { type Cidr, contains } from '../cidr.ts';

/** The rules of a table: chains and sets by name, and who goes where. */
export interface PolicyRules {
  chains: Map<string, string>;
  /** What each set is, and what is in it. */
  sets: Map<string, { type: string; elements: Set<string> }>;
  /** By the pod's address, the chain for what comes to it, and for what comes from it. */
  ingress: Map<string, string>;
  egress: Map<string, string>;
}

export interface PolicyWorld {
  policies: readonly NetworkPolicy[];
  pods: readonly Pod[];
  namespaces: readonly Namespace[];
  /** Where pods have their addresses. */
  clusterRange: Cidr;
}

type Direction = 'ingress' | 'egress';

/**
 * What the policies come to. A pod that none selects for a direction has no chain there. All that the same policies
 * select share one:
 *
 *     ingress { 10.244.0.5 : goto in-… }      chain in-… { ip saddr @peers-… tcp dport { 80 } accept … drop }
 */
export function policyRules(world: PolicyWorld): PolicyRules {
  const rules: PolicyRules = { chains: new Map(), sets: new Map(), ingress: new Map(), egress: new Map() };
  const labels = new Map(world.namespaces.map(({ metadata }) => [metadata.name, metadata.labels ?? {}]));
  const all = podsOf(world, labels);
  const byNamespace = Map.groupBy(all, ({ namespace }) => namespace);
  const policiesOf = new Map<string, { ingress: NetworkPolicy[]; egress: NetworkPolicy[] }>();
  for (const policy of [...world.policies].sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1))) {
    const { podSelector = {}, policyTypes = ['Ingress'] } = policy.spec;
    for (const pod of byNamespace.get(policy.metadata.namespace ?? '') ?? []) {
      if (!selects(podSelector, pod.labels)) continue;
      const of = policiesOf.get(pod.ip) ?? { ingress: [], egress: [] };
      policiesOf.set(pod.ip, of);
      if (policyTypes.includes('Ingress')) of.ingress.push(policy);
      if (policyTypes.includes('Egress')) of.egress.push(policy);
    }
  }
  for (const [ip, of] of policiesOf) {
    for (const direction of ['ingress', 'egress'] as const) {
      if (of[direction].length === 0) continue;
      rules[direction].set(ip, chainFor(of[direction], direction, all, rules));
    }
  }
  return rules;
}

/** A pod as policies see it. */
interface PolicyPod {
  ip: string;
  namespace: string;
  namespaceLabels: Record<string, string>;
  labels: Record<string, string>;
  /** By protocol and name. */
  ports: Map<string, number>;
}

function podsOf({ pods, clusterRange }: PolicyWorld, labels: Map<string, Record<string, string>>): PolicyPod[] {
  return pods.flatMap(({ metadata, spec, status }) => {
    const { podIP: ip, phase } = status ?? {};
    const number = ip === undefined ? undefined : ipv4Number(ip);
    const isOver = phase === 'Succeeded' || phase === 'Failed'; // Its address may be another's by now.
    if (ip === undefined || number === undefined || !contains(clusterRange, number)) return [];
    if (isOver || spec.hostNetwork) return [];
    const containers = [...(spec.initContainers ?? []), ...spec.containers];
    const ports = containers.flatMap((container) =>
      (container.ports ?? []).flatMap(({ name, protocol = 'TCP', containerPort }) =>
        name === undefined ? [] : [[`${protocol} ${name}`, containerPort] as const],
      ),
    );
    const namespace = metadata.namespace ?? '';
    const namespaceLabels = labels.get(namespace) ?? {};
    return [{ ip, namespace, namespaceLabels, labels: metadata.labels ?? {}, ports: new Map(ports) }];
  });
}

/** The chain that lets through what one of these policies allows. */
function chainFor(
  policies: readonly NetworkPolicy[],
  direction: Direction,
  pods: readonly PolicyPod[],
  rules: PolicyRules,
): string {
  const chain = named(direction === 'ingress' ? 'in' : 'out', policies.map(idOf).join(' '));
  if (rules.chains.has(chain)) return chain;
  const lines: string[] = [];
  for (const policy of policies) {
    const peersOf =
      direction === 'ingress'
        ? (policy.spec.ingress ?? []).map(({ from, ports }) => ({ peers: from, ports }))
        : (policy.spec.egress ?? []).map(({ to, ports }) => ({ peers: to, ports }));
    for (const { peers, ports } of peersOf) {
      const whos = peers?.length ? peers.flatMap((peer) => who(policy, peer, direction, pods, rules) ?? []) : [''];
      const whats = ports?.length ? ports.flatMap((port) => what(port, pods, rules)) : [''];
      for (const from of whos) for (const to of whats) lines.push([from, to, 'accept'].filter(Boolean).join(' '));
    }
  }
  rules.chains.set(chain, [...new Set(lines), 'drop'].join('\n'));
  return chain;
}

/** Matches the other side of a connection. */
function who(
  policy: NetworkPolicy,
  { ipBlock, podSelector, namespaceSelector }: NetworkPolicyPeer,
  direction: Direction,
  pods: readonly PolicyPod[],
  rules: PolicyRules,
): string | undefined {
  const field = direction === 'ingress' ? 'ip saddr' : 'ip daddr';
  if (ipBlock) {
    const block = policyBlock(ipBlock.cidr);
    if (!block) return undefined;
    const excepted = widest((ipBlock.except ?? []).flatMap((each) => policyBlock(each) ?? []));
    const except = excepted.length > 0 ? ` ${field} != { ${excepted.map(blockText).join(', ')} }` : '';
    return `${field} ${blockText(block)}${except}`;
  }
  const ownNamespace = policy.metadata.namespace ?? '';
  const set = named('peers', JSON.stringify([namespaceSelector ? '' : ownNamespace, podSelector, namespaceSelector]));
  if (!rules.sets.has(set)) {
    const found = pods.filter(
      (pod) =>
        (namespaceSelector ? selects(namespaceSelector, pod.namespaceLabels) : pod.namespace === ownNamespace) &&
        selects(podSelector ?? {}, pod.labels),
    );
    rules.sets.set(set, { type: 'ipv4_addr', elements: new Set(found.map(({ ip }) => ip)) });
  }
  return `${field} @${set}`;
}

/** Matches where a connection leads: the port is one of whoever is asked. */
function what({ port, endPort, protocol = 'TCP' }: NetworkPolicyPort, pods: readonly PolicyPod[], rules: PolicyRules) {
  const transport = protocol.toLowerCase();
  if (port === undefined) return [`meta l4proto ${transport}`];
  if (typeof port === 'number') return [`${transport} dport ${endPort === undefined ? port : `${port}-${endPort}`}`];
  // Each pod may have another number by that name.
  const set = named('ports', `${protocol} ${port}`);
  const elements = pods.flatMap((pod) => {
    const number = pod.ports.get(`${protocol} ${port}`);
    return number === undefined ? [] : [`${pod.ip} . ${transport} . ${number}`];
  });
  rules.sets.set(set, { type: 'ipv4_addr . inet_proto . inet_service', elements: new Set(elements) });
  return [`ip daddr . meta l4proto . th dport @${set}`];
}

const nameOf = ({ metadata }: NetworkPolicy) => `${metadata.namespace}/${metadata.name}`;
/** What the chain is made of: one that has changed is another chain. */
const idOf = (policy: NetworkPolicy) => `${nameOf(policy)} ${JSON.stringify(policy.spec)}`;
const named = (kind: string, id: string) => `${kind}-${createHash('sha256').update(id).digest('hex').slice(0, 16)}`;
const blockText = ({ base, size }: Ipv4Block) => `${ipv4Text(base)}/${32 - Math.log2(size)}`;

/** Without those that lie within another: a set takes none that overlap. */
function widest(blocks: readonly Ipv4Block[]): Ipv4Block[] {
  const kept: Ipv4Block[] = [];
  for (const block of [...blocks].sort((a, b) => b.size - a.size)) {
    if (!kept.some(({ base, size }) => block.base >= base && block.base < base + size)) kept.push(block);
  }
  return kept;
}
