import { conditionOf } from '../../api/meta.ts';
import type { PodAutoscaler } from '../../api/serving/pod-autoscaler.ts';
import { setOrDrop } from '../../lib/set-or-drop.ts';
import { readyConditionOf } from '../ready.ts';
import type { RevisionRun } from './revision-run.ts';

/**
 * The autoscaler's part in a revision's status (Knative's PropagateAutoscalerStatus): replicas, Active, and whether the
 * initial scale was ever reached, without which nothing is ready.
 */
export function reportAutoscaler({ status, conditions }: RevisionRun, autoscaler: PodAutoscaler): void {
  const isFailed =
    conditions.get('ResourcesAvailable')?.status === 'False' || conditions.get('ContainerHealthy')?.status === 'False';
  const isInitialized = conditionOf(autoscaler, 'ScaleTargetInitialized')?.status === 'True';
  const ready = readyConditionOf(autoscaler);
  setOrDrop(status, 'actualReplicas', autoscaler.status?.actualScale);
  setOrDrop(status, 'desiredReplicas', autoscaler.status?.desiredScale);

  if (!ready) {
    conditions.markUnknown('Active', 'Deploying', '');
    if (!isFailed) conditions.markUnknown('ResourcesAvailable', 'Deploying', '');
    return;
  }
  if (isInitialized && !isFailed) {
    conditions.markTrue('ResourcesAvailable');
    conditions.markTrue('ContainerHealthy');
  }
  if (!isInitialized && conditions.isTrue('ResourcesAvailable')) {
    // What is known of the containers says more than that they are not there yet.
    const { status, reason, message } = conditions.get('ContainerHealthy') ?? {};
    const isTold = status === 'Unknown' && message !== undefined;
    conditions.markUnknown('ResourcesAvailable', (isTold && reason) || 'Deploying', (isTold && message) || '');
  }
  // Scaled to zero without ever having been up: it was given up on.
  if (ready.status === 'False' && !isInitialized && !isFailed) {
    conditions.markFalse('ResourcesAvailable', 'ProgressDeadlineExceeded', 'Initial scale was never achieved');
  }
  conditions.copy('Active', ready);
}
