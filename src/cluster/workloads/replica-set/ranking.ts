import { isPodReady, type Pod } from '../../../api/core/pod.ts';

/**
 * The `count` pods whose end costs least, as Kubernetes' ReplicaSet chooses them: not on a node, not running, not
 * ready, cheap by annotation, ready for the shortest time, restarted most, youngest.
 */
export function podsToDelete(pods: readonly Pod[], count: number): Pod[] {
  return [...pods].sort(byCostOfDeletion).slice(0, Math.max(0, count));
}

const phaseRank: Record<string, number> = { Pending: 0, Unknown: 1, Running: 2 };
const costAnnotation = 'controller.kubernetes.io/pod-deletion-cost';

function byCostOfDeletion(a: Pod, b: Pod): number {
  return (
    Number(Boolean(a.spec.nodeName)) - Number(Boolean(b.spec.nodeName)) ||
    (phaseRank[a.status?.phase ?? 'Pending'] ?? 0) - (phaseRank[b.status?.phase ?? 'Pending'] ?? 0) ||
    Number(isPodReady(a)) - Number(isPodReady(b)) ||
    Number(a.metadata.annotations?.[costAnnotation] ?? 0) - Number(b.metadata.annotations?.[costAnnotation] ?? 0) ||
    compareLatestFirst(readySince(a), readySince(b)) ||
    restarts(b) - restarts(a) ||
    compareLatestFirst(a.metadata.creationTimestamp, b.metadata.creationTimestamp)
  );
}

const readySince = (pod: Pod) => pod.status?.conditions?.find((c) => c.type === 'Ready')?.lastTransitionTime;

const restarts = (pod: Pod) => Math.max(0, ...(pod.status?.containerStatuses ?? []).map((c) => c.restartCount));

/** RFC 3339 times of the same zone order as text. */
function compareLatestFirst(a = '', b = ''): number {
  if (a === b) return 0;
  return a > b ? -1 : 1;
}
