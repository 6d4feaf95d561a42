import { type Deployment, DeploymentKind } from '../../../api/apps/deployment.ts';
import { type ReplicaSet, ReplicaSetKind } from '../../../api/apps/replica-set.ts';
import { isPodTerminal, PodKind } from '../../../api/core/pod.ts';
import type { PodTemplateSpec } from '../../../api/core/pod-spec.ts';
import { apiVersionOf } from '../../../api/kind.ts';
import { controllerReference, type Key, keyOf, lastAppliedAnnotation, siblingKey } from '../../../api/meta.ts';
import type { Cache, Controller, ReconcileContext, Requeue } from '../../../kube/reconciler.ts';
import { owned } from '../../../kube/reconciler.ts';
import { updateStatus } from '../../../kube/update-status.ts';
import { sameJson } from '../../../lib/same-json.ts';
import { adopters, claim } from '../claim.ts';
import { kubeController } from '../users.ts';
import { type Generation, limitsOf, type Plan, planProportional, planRollingUpdate } from './rollout.ts';
import { deadlineInMs, statusOf } from './status.ts';
import { templateHash, templateHashLabel } from './template-hash.ts';

const revisionAnnotation = 'deployment.kubernetes.io/revision';
const desiredAnnotation = 'deployment.kubernetes.io/desired-replicas';
const maxAnnotation = 'deployment.kubernetes.io/max-replicas';
/** Annotations of the Deployment that its ReplicaSets do not take over. */
const ownAnnotations = [lastAppliedAnnotation, revisionAnnotation];

/** Rolls a Deployment out over ReplicaSets, one for each template that it has had. */
export function deploymentController(): Controller<Deployment> {
  const ownedReplicaSets = owned(ReplicaSetKind, DeploymentKind);
  return {
    name: 'deployment',
    user: kubeController('deployment-controller'),
    kind: DeploymentKind,
    watches: [
      {
        kind: ReplicaSetKind,
        keys(replicaSet, cache) {
          const owners = ownedReplicaSets.keys(replicaSet, cache);
          const { namespace } = replicaSet.metadata;
          if (owners.length > 0 || namespace === undefined) return owners;
          return adopters(cache.list(DeploymentKind, { namespace }), replicaSet).map(keyOf);
        },
      },
      { kind: PodKind, keys: (pod, cache) => recreating(pod.metadata, cache) },
    ],
    reconcile,
  };
}

/** Only a Recreate rollout waits for pods to be gone. */
function recreating(
  pod: { namespace?: string; ownerReferences?: { kind: string; name: string }[] },
  cache: Cache,
): Key[] {
  const owner = pod.ownerReferences?.find((r) => r.kind === ReplicaSetKind.kind);
  if (!owner || pod.namespace === undefined) return [];
  const replicaSet = cache.get(ReplicaSetKind, { namespace: pod.namespace, name: owner.name });
  const deployment = replicaSet?.metadata.ownerReferences?.find((r) => r.kind === DeploymentKind.kind);
  if (!deployment) return [];
  const key = { namespace: pod.namespace, name: deployment.name };
  return cache.get(DeploymentKind, key)?.spec.strategy?.type === 'Recreate' ? [key] : [];
}

async function reconcile(deployment: Deployment, context: ReconcileContext): Promise<Requeue | void> {
  const replicaSets = await claim(context, ReplicaSetKind, deployment, deployment.spec.selector);
  let current = replicaSets.find((replicaSet) => isOfTemplate(replicaSet, deployment.spec.template));
  const older = replicaSets.filter((replicaSet) => replicaSet !== current).sort(oldestFirst);
  if (deployment.metadata.deletionTimestamp === undefined) {
    current = await progress(deployment, current, older, context);
    await deleteHistory(deployment, older, context);
  }
  // The write that pods wait for is done: now the bookkeeping.
  const stored = await recordRevision(deployment, current, context);
  // A ReplicaSet that has not yet seen its newest spec is about to say so, which calls again: one status, not two.
  if ([...(current ? [current] : []), ...older].some(isBehind)) return;
  const nowMs = context.clock.now();
  const status = statusOf(stored, current, older, nowMs);
  await updateStatus(context, stored, status);
  const requeueAfterMs = deadlineInMs(stored, status, nowMs);
  return requeueAfterMs === undefined ? undefined : { requeueAfterMs };
}

/** Creates or scales ReplicaSets as the strategy says; returns the one of the current template as stored. */
async function progress(
  deployment: Deployment,
  current: ReplicaSet | undefined,
  older: readonly ReplicaSet[],
  context: ReconcileContext,
): Promise<ReplicaSet | undefined> {
  const { spec } = deployment;
  const replicas = spec.replicas ?? 1;
  if (spec.paused) {
    await apply(planProportional(replicas, [...(current ? [current] : []), ...older].map(generationOf)));
    return current;
  }
  const isRecreate = spec.strategy?.type === 'Recreate';
  if (isRecreate && older.some((replicaSet) => (replicaSet.spec.replicas ?? 0) > 0)) {
    await apply(older.map(({ metadata }) => ({ name: metadata.name, replicas: 0 })));
    return current;
  }
  if (isRecreate && older.some((replicaSet) => hasPods(replicaSet, context))) return current;
  const limits = limitsOf(spec);
  if (!current) {
    const running = older.reduce((total, replicaSet) => total + (replicaSet.spec.replicas ?? 0), 0);
    const initial = Math.max(0, Math.min(replicas, limits.totalMax - running));
    return await context.client.create(ReplicaSetKind, replicaSetOf(deployment, initial, nextRevision(older)));
  }
  if (revisionOf(current) < nextRevision(older)) current = await renumber(current, nextRevision(older));
  await apply(planRollingUpdate(replicas, limits, generationOf(current), older.map(generationOf)));
  return current;

  async function apply(plan: Plan): Promise<void> {
    for (const { name, replicas: next } of plan) {
      const replicaSet = name === current?.metadata.name ? current : older.find((r) => r.metadata.name === name);
      if (!replicaSet || replicaSet.spec.replicas === next) continue;
      const stored = await context.client.update(ReplicaSetKind, scaled(replicaSet, deployment, next));
      if (replicaSet === current) current = stored;
    }
  }

  function renumber(replicaSet: ReplicaSet, revision: number): Promise<ReplicaSet> {
    const annotations = { ...replicaSet.metadata.annotations, [revisionAnnotation]: String(revision) };
    return context.client.update(ReplicaSetKind, { ...replicaSet, metadata: { ...replicaSet.metadata, annotations } });
  }
}

const isBehind = ({ metadata, status }: ReplicaSet) =>
  metadata.deletionTimestamp === undefined && (status?.observedGeneration ?? 0) < (metadata.generation ?? 0);

const hasPods = (replicaSet: ReplicaSet, { cache }: ReconcileContext) =>
  cache.ownedBy(PodKind, replicaSet).some((pod) => !isPodTerminal(pod));

const generationOf = (replicaSet: ReplicaSet): Generation => ({
  name: replicaSet.metadata.name,
  replicas: replicaSet.spec.replicas ?? 0,
  available: Math.min(replicaSet.status?.availableReplicas ?? 0, replicaSet.spec.replicas ?? 0),
});

const revisionOf = (object: ReplicaSet | Deployment) =>
  Number(object.metadata.annotations?.[revisionAnnotation] ?? 0) || 0;
const nextRevision = (older: readonly ReplicaSet[]) => Math.max(0, ...older.map(revisionOf)) + 1;

function oldestFirst(a: ReplicaSet, b: ReplicaSet): number {
  return revisionOf(a) - revisionOf(b) || (a.metadata.name < b.metadata.name ? -1 : 1);
}

/** Whether the ReplicaSet's template is this one, but for the label that the hash adds. */
function isOfTemplate(replicaSet: ReplicaSet, template: PodTemplateSpec): boolean {
  const { metadata, spec } = replicaSet.spec.template;
  const { [templateHashLabel]: _, ...labels } = metadata?.labels ?? {};
  return (
    sameJson(spec, template.spec) &&
    sameJson({ ...metadata, labels }, { ...template.metadata, labels: { ...template.metadata?.labels } })
  );
}

function replicaSetOf(deployment: Deployment, replicas: number, revision: number): ReplicaSet {
  const { spec, metadata } = deployment;
  const hash = templateHash(spec.template);
  const inherited = Object.entries(metadata.annotations ?? {}).filter(([name]) => !ownAnnotations.includes(name));
  return {
    apiVersion: apiVersionOf(ReplicaSetKind),
    kind: ReplicaSetKind.kind,
    metadata: {
      ...siblingKey(deployment, `${metadata.name}-${hash}`),
      labels: { ...spec.template.metadata?.labels, [templateHashLabel]: hash },
      annotations: {
        ...Object.fromEntries(inherited),
        [revisionAnnotation]: String(revision),
        ...replicaAnnotations(deployment),
      },
      ownerReferences: [controllerReference(deployment)],
    },
    spec: {
      replicas,
      ...(spec.minReadySeconds === undefined ? {} : { minReadySeconds: spec.minReadySeconds }),
      selector: { ...spec.selector, matchLabels: { ...spec.selector.matchLabels, [templateHashLabel]: hash } },
      template: {
        ...spec.template,
        metadata: {
          ...spec.template.metadata,
          labels: { ...spec.template.metadata?.labels, [templateHashLabel]: hash },
        },
      },
    },
  };
}

function scaled(replicaSet: ReplicaSet, deployment: Deployment, replicas: number): ReplicaSet {
  const annotations = { ...replicaSet.metadata.annotations, ...replicaAnnotations(deployment) };
  return { ...replicaSet, metadata: { ...replicaSet.metadata, annotations }, spec: { ...replicaSet.spec, replicas } };
}

const replicaAnnotations = ({ spec }: Deployment) => ({
  [desiredAnnotation]: String(spec.replicas ?? 1),
  [maxAnnotation]: String(limitsOf(spec).totalMax),
});

async function deleteHistory(
  deployment: Deployment,
  older: readonly ReplicaSet[],
  { client }: ReconcileContext,
): Promise<void> {
  const idle = older.filter(
    ({ spec, status, metadata }) => spec.replicas === 0 && !status?.replicas && !metadata.deletionTimestamp,
  );
  const excess = idle.length - (deployment.spec.revisionHistoryLimit ?? 10);
  for (const replicaSet of idle.slice(0, Math.max(0, excess))) await client.delete(ReplicaSetKind, keyOf(replicaSet));
}

/** Copies the current ReplicaSet's revision to the Deployment, where `kubectl rollout history` looks for it. */
async function recordRevision(
  deployment: Deployment,
  current: ReplicaSet | undefined,
  { client }: ReconcileContext,
): Promise<Deployment> {
  const revision = current?.metadata.annotations?.[revisionAnnotation];
  const { annotations, deletionTimestamp } = deployment.metadata;
  if (revision === undefined || annotations?.[revisionAnnotation] === revision || deletionTimestamp) return deployment;
  return await client.update(DeploymentKind, {
    ...deployment,
    metadata: { ...deployment.metadata, annotations: { ...annotations, [revisionAnnotation]: revision } },
  });
}
