import type { Node } from '../../../api/core/node.ts';
import type { Pod } from '../../../api/core/pod.ts';
import type { PodSpec } from '../../../api/core/pod-spec.ts';
import { parseQuantity } from '../../../api/core/quantity.ts';
import { selects } from '../../../api/selector.ts';
import { type Amounts, podRequests } from './requests.ts';

/** The node, and what its pods have asked it for. */
export interface Room {
  /** As the API has it; undefined until it is registered. */
  node: Node | undefined;
  podsMax: number;
  podCount: number;
  used: Amounts;
}

/** What a node has too little of. */
export interface Shortage {
  resource: string;
  requested: number;
  used: number;
  capacity: number;
}

type Taint = NonNullable<NonNullable<Node['spec']>['taints']>[number];
type Terms = NonNullable<
  NonNullable<NonNullable<PodSpec['affinity']>['nodeAffinity']>['requiredDuringSchedulingIgnoredDuringExecution']
>['nodeSelectorTerms'];

/**
 * Why the pod cannot run on the node, in the words of Kubernetes' scheduler and in the order in which it asks: what the
 * first that says no has to say. Empty when it can.
 */
export function reasonsAgainst(pod: Pod, room: Room): string[] {
  const { node } = room;
  if (node?.spec?.unschedulable && !tolerates(pod.spec, { key: cordon, effect: 'NoSchedule' })) {
    return ['node(s) were unschedulable'];
  }
  const taint = node?.spec?.taints?.find((each) => each.effect !== 'PreferNoSchedule' && !tolerates(pod.spec, each));
  if (taint) return [`node(s) had untolerated taint {${taint.key}: ${taint.value ?? ''}}`];
  if (node && !isWanted(pod.spec, node)) return ["node(s) didn't match Pod's node affinity/selector"];
  return shortagesOf(pod.spec, room).map(({ resource }) =>
    resource === 'pods' ? 'Too many pods' : `Insufficient ${resource}`,
  );
}

const cordon = 'node.kubernetes.io/unschedulable';

/** `0/1 nodes are available: 1 Insufficient cpu.` */
export const unschedulable = (reasons: readonly string[]): string =>
  `0/1 nodes are available: ${reasons
    .map((reason) => `1 ${reason}`)
    .sort()
    .join(', ')}.`;

/** What the node has not enough of; its number of pods first. */
export function shortagesOf(spec: PodSpec, { node, podsMax, podCount, used }: Room): Shortage[] {
  const shortages: Shortage[] = [];
  if (podCount >= podsMax) shortages.push({ resource: 'pods', requested: 1, used: podCount, capacity: podsMax });
  const allocatable = node?.status?.allocatable;
  if (!allocatable) return shortages;
  for (const [resource, requested] of Object.entries(podRequests(spec))) {
    const capacity = parseQuantity(allocatable[resource] ?? 0) ?? 0;
    const usedBefore = used[resource] ?? 0;
    // A node from before it told of its disk has as much as it has.
    if (requested === 0 || (resource === 'ephemeral-storage' && allocatable[resource] === undefined)) continue;
    if (usedBefore + requested > capacity + 1e-9) shortages.push({ resource, requested, used: usedBefore, capacity });
  }
  return shortages;
}

function tolerates({ tolerations = [] }: PodSpec, taint: Pick<Taint, 'key' | 'effect' | 'value'>): boolean {
  return tolerations.some(({ key, operator = 'Equal', value = '', effect }) => {
    if (effect && effect !== taint.effect) return false;
    if (key && key !== taint.key) return false;
    return operator === 'Exists' || (key !== undefined && value === (taint.value ?? ''));
  });
}

function isWanted({ nodeSelector = {}, affinity }: PodSpec, node: Node): boolean {
  const { labels = {} } = node.metadata;
  if (!selects({ matchLabels: nodeSelector }, labels)) return false;
  const required = affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  return required === undefined || matchesTerms(required.nodeSelectorTerms, node);
}

/** Any of the terms, all of what each says; one that says nothing is none. */
function matchesTerms(terms: Terms, { metadata }: Node): boolean {
  return (terms ?? []).some(({ matchExpressions = [], matchFields = [] }) => {
    if (matchExpressions.length + matchFields.length === 0) return false;
    const fields = { 'metadata.name': metadata.name };
    return (
      matchExpressions.every((each) => matches(each, metadata.labels ?? {})) &&
      matchFields.every((each) => matches(each, fields))
    );
  });
}

function matches(
  { key, operator, values = [] }: { key: string; operator: string; values?: string[] },
  of: Record<string, string>,
): boolean {
  if (operator !== 'Gt' && operator !== 'Lt') return selects({ matchExpressions: [{ key, operator, values }] }, of);
  const [have, bound] = [Number.parseInt(of[key] ?? '', 10), Number.parseInt(values[0] ?? '', 10)];
  return operator === 'Gt' ? have > bound : have < bound;
}

/** Why kubelet rejects a pod that somebody has put on the node by its name; undefined when it takes it. */
export function rejectionOf(pod: Pod, room: Room): { reason: string; message: string } | undefined {
  const [shortage] = shortagesOf(pod.spec, room);
  if (shortage) {
    const { resource, requested, used, capacity } = shortage;
    // Of cpu, kubelet counts thousandths.
    const [asked, has, all] = [requested, used, capacity].map((n) => Math.round(resource === 'cpu' ? n * 1000 : n));
    const numbers = `requested: ${asked}, used: ${has}, capacity: ${all}`;
    const message = `Pod was rejected: Node didn't have enough resource: ${resource}, ${numbers}`;
    return { reason: `OutOf${resource}`, message };
  }
  if (!room.node || isWanted(pod.spec, room.node)) return undefined;
  const why = "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector";
  return { reason: 'NodeAffinity', message: `Pod was rejected: ${why}` };
}
