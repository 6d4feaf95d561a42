import { type Pod, PodKind } from '../../api/core/pod.ts';
import { conditionOf, inNamespaceOf, keyOf } from '../../api/meta.ts';
import { PodAutoscalerKind } from '../../api/serving/pod-autoscaler.ts';
import type { ReconcileContext } from '../../kube/reconciler.ts';
import { podSelector } from './resources/metadata.ts';
import type { RevisionRun } from './revision-run.ts';

/** What a container that never served gets to end by itself. */
const graceSeconds = 10;

/**
 * A pod that ends has as long as its longest request may take. One of a revision that failed and never came up has no
 * requests: it is given seconds, or one that spins, and does not hear that it should end, would do so for minutes more.
 */
export async function hastenPods(run: RevisionRun, context: ReconcileContext): Promise<void> {
  const { object: revision, conditions, deployment } = run;
  if (deployment?.spec.replicas !== 0 || conditions.get('ContainerHealthy')?.status !== 'False') return;
  const autoscaler = context.cache.get(PodAutoscalerKind, keyOf(revision));
  if (!autoscaler || conditionOf(autoscaler, 'ScaleTargetInitialized')?.status === 'True') return;
  const where = { ...inNamespaceOf(revision), labels: podSelector(revision) };
  for (const pod of context.cache.list(PodKind, where).filter(isEndingSlowly)) {
    const { uid } = pod.metadata;
    await context.client.delete(PodKind, keyOf(pod), {
      gracePeriodSeconds: graceSeconds,
      ...(uid === undefined ? {} : { preconditions: { uid } }),
    });
  }
}

const isEndingSlowly = ({ metadata }: Pod) =>
  metadata.deletionTimestamp !== undefined && (metadata.deletionGracePeriodSeconds ?? 0) > graceSeconds;
