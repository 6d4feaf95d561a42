import type { Deployment, DeploymentStatus } from '../../../api/apps/deployment.ts';
import type { ReplicaSet } from '../../../api/apps/replica-set.ts';
import { timestamp } from '../../../api/meta.ts';
import { dated } from '../../../kube/conditions.ts';
import { limitsOf } from './rollout.ts';

type DeploymentCondition = NonNullable<DeploymentStatus['conditions']>[number];

/** What the Deployment's status should say, from what its ReplicaSets say of theirs. */
export function statusOf(
  deployment: Deployment,
  current: ReplicaSet | undefined,
  older: readonly ReplicaSet[],
  nowMs: number,
): DeploymentStatus {
  const all = current ? [current, ...older] : [...older];
  const count = (field: 'replicas' | 'readyReplicas' | 'availableReplicas') =>
    all.reduce((total, replicaSet) => total + (replicaSet.status?.[field] ?? 0), 0);
  const available = count('availableReplicas');
  const specTotal = all.reduce((total, replicaSet) => total + (replicaSet.spec.replicas ?? 0), 0);
  const counts = {
    replicas: count('replicas'),
    updatedReplicas: current?.status?.replicas ?? 0,
    readyReplicas: count('readyReplicas'),
    availableReplicas: available,
    unavailableReplicas: Math.max(0, specTotal - available),
  };
  const status: DeploymentStatus = { observedGeneration: deployment.metadata.generation ?? 0 };
  // Kubernetes leaves zero counts out.
  for (const [name, value] of Object.entries(counts)) if (value > 0) Object.assign(status, { [name]: value });
  status.conditions = [
    availableCondition(deployment, available),
    ...progressCondition(deployment, status, current),
    ...failureCondition(all),
  ].map((condition) => settled(condition, deployment.status?.conditions, nowMs));
  return expired(deployment, status, nowMs);
}

/** When the progress deadline will have passed, in milliseconds from now; undefined when nothing is awaited. */
export function deadlineInMs(deployment: Deployment, status: DeploymentStatus, nowMs: number): number | undefined {
  const progressing = status.conditions?.find((c) => c.type === 'Progressing');
  if (progressing?.status !== 'True' || progressing.reason === 'NewReplicaSetAvailable') return;
  const since = Date.parse(progressing.lastUpdateTime ?? timestamp(nowMs));
  return Math.max(0, since + (deployment.spec.progressDeadlineSeconds ?? 600) * 1000 - nowMs);
}

function availableCondition(deployment: Deployment, available: number): DeploymentCondition {
  const isAvailable = available >= limitsOf(deployment.spec).availableMin;
  return isAvailable
    ? condition('Available', 'True', 'MinimumReplicasAvailable', 'Deployment has minimum availability.')
    : condition('Available', 'False', 'MinimumReplicasUnavailable', 'Deployment does not have minimum availability.');
}

/** Complete, advanced since last time, or as it was. */
function progressCondition(
  deployment: Deployment,
  status: DeploymentStatus,
  current: ReplicaSet | undefined,
): DeploymentCondition[] {
  const name = current?.metadata.name ?? '';
  const old = deployment.status;
  const before = old?.conditions?.find((c) => c.type === 'Progressing');
  const isSameRollout = before?.message?.includes(`"${name}"`) ?? false;
  if (deployment.spec.paused) {
    return [condition('Progressing', 'Unknown', 'DeploymentPaused', 'Deployment is paused')];
  }
  if (!current) return before ? [before] : [];
  // Scaling a rollout that is complete does not make it incomplete.
  const wasComplete = before?.reason === 'NewReplicaSetAvailable' && isSameRollout;
  const wanted = deployment.spec.replicas ?? 1;
  const updated = status.updatedReplicas ?? 0;
  const isComplete =
    updated === wanted && (status.replicas ?? 0) === wanted && (status.availableReplicas ?? 0) === wanted;
  if (isComplete || wasComplete) {
    const message = `ReplicaSet "${name}" has successfully progressed.`;
    return [condition('Progressing', 'True', 'NewReplicaSetAvailable', message)];
  }
  const hasAdvanced =
    updated > (old?.updatedReplicas ?? 0) ||
    (status.replicas ?? 0) - updated < (old?.replicas ?? 0) - (old?.updatedReplicas ?? 0) ||
    (status.readyReplicas ?? 0) > (old?.readyReplicas ?? 0) ||
    (status.availableReplicas ?? 0) > (old?.availableReplicas ?? 0);
  if (before && isSameRollout && !hasAdvanced) return [before];
  const message = `ReplicaSet "${name}" is progressing.`;
  const progressing = condition('Progressing', 'True', 'ReplicaSetUpdated', message);
  // A change of lastUpdateTime is what restarts the deadline.
  return [{ ...progressing, lastUpdateTime: '' }];
}

function failureCondition(all: readonly ReplicaSet[]): DeploymentCondition[] {
  for (const replicaSet of all) {
    const failed = replicaSet.status?.conditions?.find((c) => c.type === 'ReplicaFailure' && c.status === 'True');
    if (failed) return [condition('ReplicaFailure', 'True', failed.reason ?? '', failed.message ?? '')];
  }
  return [];
}

/** A rollout that has not advanced for `progressDeadlineSeconds` says so; it goes on trying. */
function expired(deployment: Deployment, status: DeploymentStatus, nowMs: number): DeploymentStatus {
  if (deadlineInMs(deployment, status, nowMs) !== 0) return status;
  const conditions = (status.conditions ?? []).map((c) => {
    if (c.type !== 'Progressing') return c;
    const message = (c.message ?? '').replace('is progressing', 'has timed out progressing');
    const time = timestamp(nowMs);
    const next = condition('Progressing', 'False', 'ProgressDeadlineExceeded', message);
    return dated({ ...next, lastUpdateTime: time }, status.conditions, time);
  });
  return { ...status, conditions };
}

const condition = (type: string, status: 'True' | 'False' | 'Unknown', reason: string, message: string) =>
  ({ type, status, reason, message }) satisfies DeploymentCondition;

/** Gives the condition its times: both are now, unless the stored condition says the same. */
function settled(
  next: DeploymentCondition,
  stored: readonly DeploymentCondition[] | undefined,
  nowMs: number,
): DeploymentCondition {
  const now = timestamp(nowMs);
  const old = stored?.find((c) => c.type === next.type);
  const isSame = old?.status === next.status && old.reason === next.reason && next.lastUpdateTime !== '';
  return dated({ ...next, lastUpdateTime: (isSame && old.lastUpdateTime) || now }, stored, now);
}
