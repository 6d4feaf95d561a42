import type { ReplicaSet, ReplicaSetStatus } from '../../../api/apps/replica-set.ts';
import { isPodReady, type Pod } from '../../../api/core/pod.ts';
import { type Condition, timestamp } from '../../../api/meta.ts';
import { dated } from '../../../kube/conditions.ts';

export interface Availability {
  isAvailable: boolean;
  /** When it will be, if it stays ready; milliseconds from now. */
  inMs?: number;
}

/** A pod is available once it has been ready for `minReadySeconds`. */
export function availabilityOf(pod: Pod, minReadySeconds: number, nowMs: number): Availability {
  if (!isPodReady(pod)) return { isAvailable: false };
  if (minReadySeconds <= 0) return { isAvailable: true };
  const since = pod.status?.conditions?.find((c) => c.type === 'Ready')?.lastTransitionTime;
  const inMs = (since === undefined ? nowMs : Date.parse(since)) + minReadySeconds * 1000 - nowMs;
  return inMs <= 0 ? { isAvailable: true } : { isAvailable: false, inMs };
}

/** What the status should say of the active `pods`; `failure` is why the last creation or deletion failed. */
export function statusOf(
  replicaSet: ReplicaSet,
  pods: readonly Pod[],
  failure: { reason: 'FailedCreate' | 'FailedDelete'; message: string } | undefined,
  nowMs: number,
): ReplicaSetStatus {
  const { spec, metadata, status: old } = replicaSet;
  const templateLabels = Object.entries(spec.template.metadata?.labels ?? {});
  const status: ReplicaSetStatus = {
    replicas: pods.length,
    observedGeneration: metadata.generation ?? 0,
  };
  const counts = {
    fullyLabeledReplicas: pods.filter((p) => templateLabels.every(([k, v]) => p.metadata.labels?.[k] === v)).length,
    readyReplicas: pods.filter(isPodReady).length,
    availableReplicas: pods.filter((p) => availabilityOf(p, spec.minReadySeconds ?? 0, nowMs).isAvailable).length,
  };
  // Kubernetes leaves zero counts out.
  for (const [name, count] of Object.entries(counts)) if (count > 0) Object.assign(status, { [name]: count });
  if (failure) {
    const condition: Condition = { type: 'ReplicaFailure', status: 'True', ...failure };
    status.conditions = [dated(condition, old?.conditions, timestamp(nowMs))];
  }
  return status;
}
