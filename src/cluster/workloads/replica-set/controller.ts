import { type ReplicaSet, ReplicaSetKind } from '../../../api/apps/replica-set.ts';
import { isPodTerminal, type Pod, PodKind } from '../../../api/core/pod.ts';
import { apiVersionOf } from '../../../api/kind.ts';
import { controllerReference, inNamespaceOf, keyOf, keyText } from '../../../api/meta.ts';
import type { Controller, ReconcileContext, Requeue } from '../../../kube/reconciler.ts';
import { owned } from '../../../kube/reconciler.ts';
import { updateStatus } from '../../../kube/update-status.ts';
import { messageOf } from '../../../lib/errors.ts';
import { ExpectedPods } from '../../expected-pods.ts';
import { adopters, claim } from '../claim.ts';
import { kubeController } from '../users.ts';
import { podsToDelete } from './ranking.ts';
import { availabilityOf, statusOf } from './status.ts';

/** Pods that ended for good are kept for people to look at, but no more than these, the newest. */
const terminalPodsMax = 2;
/** Creations at once: 1, 2, 4 … up to this, so that a template that is refused fails once and not a hundred times. */
const batchMax = 64;
/** So many pods are created or deleted before it is looked again what is wanted (Kubernetes' burst). */
const burstMax = 500;

/** What was written and may not be in the cache yet; without it a reconcile in between would create or delete twice. */
interface Pending {
  uid: string;
  created: Map<string, Pod>;
  /** UIDs. */
  deleted: Set<string>;
}

/** Keeps as many pods of the template running as `spec.replicas` says; of `expected` ones, first those. */
export function replicaSetController(expected = new ExpectedPods()): Controller<ReplicaSet> {
  const pendingByKey = new Map<string, Pending>();
  const ownedPods = owned(PodKind, ReplicaSetKind);
  return {
    name: 'replica-set',
    user: kubeController('replicaset-controller'),
    kind: ReplicaSetKind,
    watches: [
      {
        kind: PodKind,
        keys(pod, cache) {
          const owners = ownedPods.keys(pod, cache);
          const { namespace } = pod.metadata;
          if (owners.length > 0 || namespace === undefined) return owners;
          return adopters(cache.list(ReplicaSetKind, { namespace }), pod).map(keyOf);
        },
      },
    ],
    onGone(key) {
      pendingByKey.delete(keyText(key));
    },
    async reconcile(replicaSet, context) {
      const pending = pendingOf(pendingByKey, replicaSet);
      const pods = await activePods(replicaSet, pending, context);
      const failure = await scale(replicaSet, pods, pending, context, expected);
      // Having just created or deleted, the pods' own events are about to call again: the status follows then.
      const missing = (replicaSet.spec.replicas ?? 1) - pods.length;
      const isSettled = failure !== undefined || missing === 0 || Math.abs(missing) > burstMax;
      if (!isSettled && replicaSet.metadata.deletionTimestamp === undefined) return;
      await updateStatus(context, replicaSet, statusOf(replicaSet, pods, failure, context.clock.now()));
      if (failure) throw new Error(failure.message);
      return nextAvailability(replicaSet, pods, context);
    },
  };
}

function pendingOf(pendingByKey: Map<string, Pending>, replicaSet: ReplicaSet): Pending {
  const key = keyText(keyOf(replicaSet));
  const uid = replicaSet.metadata.uid ?? '';
  let pending = pendingByKey.get(key);
  if (pending?.uid !== uid) {
    pending = { uid, created: new Map(), deleted: new Set() };
    pendingByKey.set(key, pending);
  }
  return pending;
}

/** The pods that count: neither ended nor ending, with those that the cache has not seen yet. */
async function activePods(replicaSet: ReplicaSet, pending: Pending, context: ReconcileContext): Promise<Pod[]> {
  const claimed = await claim(context, PodKind, replicaSet, replicaSet.spec.selector);
  await deleteOldTerminal(claimed, context);
  const uids = new Set(claimed.map((pod) => pod.metadata.uid));
  for (const uid of pending.deleted) if (!uids.has(uid)) pending.deleted.delete(uid);
  const active = claimed.filter(
    (pod) => !isPodTerminal(pod) && !pod.metadata.deletionTimestamp && !pending.deleted.has(pod.metadata.uid ?? ''),
  );
  for (const [uid, created] of pending.created) {
    const isSeen = uids.has(uid);
    const stored = isSeen ? undefined : await context.client.get(PodKind, keyOf(created));
    if (isSeen || stored?.metadata.uid !== uid || stored.metadata.deletionTimestamp) pending.created.delete(uid);
    else active.push(stored);
  }
  return active;
}

async function deleteOldTerminal(pods: readonly Pod[], { client }: ReconcileContext): Promise<void> {
  const ended = pods.filter((pod) => isPodTerminal(pod) && !pod.metadata.deletionTimestamp);
  if (ended.length <= terminalPodsMax) return;
  ended.sort((a, b) => ((a.metadata.creationTimestamp ?? '') < (b.metadata.creationTimestamp ?? '') ? -1 : 1));
  for (const pod of ended.slice(0, -terminalPodsMax)) await client.delete(PodKind, keyOf(pod));
}

type Failure = { reason: 'FailedCreate' | 'FailedDelete'; message: string };

async function scale(
  replicaSet: ReplicaSet,
  pods: readonly Pod[],
  pending: Pending,
  context: ReconcileContext,
  expected: ExpectedPods,
): Promise<Failure | undefined> {
  if (replicaSet.metadata.deletionTimestamp !== undefined) return;
  const missing = (replicaSet.spec.replicas ?? 1) - pods.length;
  if (missing > 0) return await createPods(replicaSet, Math.min(missing, burstMax), pending, context, expected);
  if (missing < 0) return await deletePods(podsToDelete(pods, Math.min(-missing, burstMax)), pending, context);
}

async function createPods(
  replicaSet: ReplicaSet,
  count: number,
  pending: Pending,
  { client }: ReconcileContext,
  expected: ExpectedPods,
): Promise<Failure | undefined> {
  for (let left = count, batch = 1; left > 0; batch = Math.min(batch * 2, batchMax)) {
    const size = Math.min(batch, left);
    const results = await Promise.allSettled(
      Array.from({ length: size }, async () => {
        const pod = await client.create(PodKind, expected.take(podOf(replicaSet), replicaSet));
        pending.created.set(pod.metadata.uid ?? '', pod);
      }),
    );
    const failed = results.find((result) => result.status === 'rejected');
    if (failed) return { reason: 'FailedCreate', message: messageOf(failed.reason) };
    left -= size;
  }
}

async function deletePods(
  pods: readonly Pod[],
  pending: Pending,
  { client }: ReconcileContext,
): Promise<Failure | undefined> {
  const results = await Promise.allSettled(
    pods.map(async (pod) => {
      const uid = pod.metadata.uid ?? '';
      await client.delete(PodKind, keyOf(pod), { preconditions: { uid } });
      pending.created.delete(uid);
      pending.deleted.add(uid);
    }),
  );
  const failed = results.find((result) => result.status === 'rejected');
  if (failed) return { reason: 'FailedDelete', message: messageOf(failed.reason) };
}

/** The pod that the template asks for; the server completes its name. */
export function podOf(replicaSet: ReplicaSet): Pod {
  const { template } = replicaSet.spec;
  const { labels, annotations, finalizers } = template.metadata ?? {};
  return {
    apiVersion: apiVersionOf(PodKind),
    kind: PodKind.kind,
    metadata: {
      name: '',
      generateName: `${replicaSet.metadata.name}-`,
      ...inNamespaceOf(replicaSet),
      ...(labels && { labels }),
      ...(annotations && { annotations }),
      ...(finalizers && { finalizers }),
      ownerReferences: [controllerReference(replicaSet)],
    },
    spec: template.spec,
  };
}

function nextAvailability(
  replicaSet: ReplicaSet,
  pods: readonly Pod[],
  { clock }: ReconcileContext,
): Requeue | undefined {
  const { minReadySeconds = 0 } = replicaSet.spec;
  const waits = pods.flatMap((pod) => availabilityOf(pod, minReadySeconds, clock.now()).inMs ?? []);
  return waits.length === 0 ? undefined : { requeueAfterMs: Math.min(...waits) };
}
