import { type Deployment, DeploymentKind } from '../../api/apps/deployment.ts';
import { type Key, type KubeObject, keyOf, keyText, timestamp } from '../../api/meta.ts';
import { labels } from '../../api/serving/names.ts';
import { type PodAutoscaler, PodAutoscalerKind } from '../../api/serving/pod-autoscaler.ts';
import { conditionSet } from '../../kube/conditions.ts';
import type { Controller } from '../../kube/reconciler.ts';
import { updateStatus } from '../../kube/update-status.ts';
import { scalingConfigOf } from '../autoscaler/scaling-config.ts';
import { autoscalerConfigName, autoscalerConfigReader } from '../config/autoscaler.ts';
import { configWatch } from '../config/config-map.ts';
import { conditionOf } from '../ready.ts';
import { serviceName } from '../revision/resources/names.ts';

const conditions = conditionSet({ happy: 'Ready', dependents: ['Active', 'ScaleTargetInitialized', 'SKSReady'] });
type Conditions = ReturnType<typeof conditions.manage>;

/**
 * The status of a PodAutoscaler, from its Deployment alone: what the autoscaler wanted is the Deployment's replicas, so
 * the two share no memory and either may restart.
 */
export function podAutoscalerController(): Controller<PodAutoscaler> {
  const readConfig = autoscalerConfigReader();
  /** When each revision that wakes was first seen waking, in ms. */
  const wakingSince = new Map<string, number>();
  return {
    name: 'pod-autoscaler',
    kind: PodAutoscalerKind,
    async reconcile(autoscaler, context) {
      if (autoscaler.metadata.deletionTimestamp) return;
      const deployment = context.cache.get(DeploymentKind, targetKey(autoscaler));
      if (!deployment) return;
      const key = keyText(keyOf(autoscaler));
      if (isWaking(autoscaler, scaleOf(deployment))) {
        const nowMs = context.clock.now();
        const sinceMs = wakingSince.get(key) ?? nowMs;
        wakingSince.set(key, sinceMs);
        const leftMs = sinceMs + wakeQuietMs - nowMs;
        if (leftMs > 0) return { requeueAfterMs: leftMs };
      } else wakingSince.delete(key);
      const { minScale, initialScale } = scalingConfigOf(autoscaler, readConfig(context.cache, context.log));
      const managed = conditions.manage(autoscaler.status?.conditions, timestamp(context.clock.now()));
      // Gateways take the place of Knative's ServerlessService: there is nothing to wait for.
      managed.markTrue('SKSReady');
      reportScale(managed, scaleOf(deployment), { minScale, initialScale });
      const service = serviceName(autoscaler);
      await updateStatus(context, autoscaler, {
        ...autoscaler.status,
        observedGeneration: autoscaler.metadata.generation ?? 1,
        serviceName: service,
        metricsServiceName: service,
        desiredScale: scaleOf(deployment).want,
        actualScale: scaleOf(deployment).ready,
        conditions: managed.conditions,
      });
    },
    onGone(key) {
      wakingSince.delete(keyText(key));
    },
    watches: [
      { kind: DeploymentKind, keys: autoscalerOfDeployment },
      configWatch(autoscalerConfigName, PodAutoscalerKind),
    ],
  };
}

/**
 * A revision usually wakes within this. Until then its status is not written: those writes would come between the ones
 * that a waiting request waits for, and say what is over when they are read.
 */
const wakeQuietMs = 300;

function isWaking(autoscaler: PodAutoscaler, { want, ready }: Scale): boolean {
  const active = conditionOf(autoscaler, 'Active');
  return want > 0 && ready === 0 && active?.status === 'False' && active.reason === 'NoTraffic';
}

/** What is wanted and what is ready. */
export interface Scale {
  want: number;
  ready: number;
}

/**
 * Knative's table (kpa.go, computeActiveCondition):
 *
 *   want  ready      Active
 *   0     any        False  NoTraffic; TimedOut when it was still activating
 *   > 0   < minimum  Unknown Queued
 *   > 0   ≥ minimum  True
 *
 * The minimum is the initial scale until that was reached once (ScaleTargetInitialized), then 1.
 */
export function reportScale(
  managed: Conditions,
  { want, ready }: Scale,
  { minScale, initialScale }: { minScale: number; initialScale: number },
): void {
  const threshold = managed.isTrue('ScaleTargetInitialized') ? Math.max(minScale, 1) : Math.max(minScale, initialScale);
  if (ready >= threshold) managed.markTrue('ScaleTargetInitialized');
  if (want === 0 || threshold === 0) {
    const wasActivating = managed.get('Active')?.status === 'Unknown' && managed.get('Active')?.reason === 'Queued';
    const isStill = managed.get('Active')?.reason === 'TimedOut';
    if (threshold > 0 && !managed.isTrue('ScaleTargetInitialized') && (wasActivating || isStill)) {
      managed.markFalse('Active', 'TimedOut', 'The target could not be activated.');
    } else managed.markFalse('Active', 'NoTraffic', 'The target is not receiving traffic.');
  } else if (ready < threshold) {
    const message = 'Requests to the target are being buffered as resources are provisioned.';
    managed.markUnknown('Active', 'Queued', message);
  } else managed.markTrue('Active');
}

function scaleOf(deployment: Deployment): Scale {
  return { want: deployment.spec.replicas ?? 1, ready: deployment.status?.readyReplicas ?? 0 };
}

/** The Deployment that a PodAutoscaler scales. */
export function targetKey({ metadata, spec }: PodAutoscaler): Key {
  const { name } = spec.scaleTargetRef;
  return metadata.namespace === undefined ? { name } : { namespace: metadata.namespace, name };
}

function autoscalerOfDeployment({ metadata }: KubeObject): Key[] {
  const name = metadata.labels?.[labels.revision];
  if (name === undefined) return [];
  return [metadata.namespace === undefined ? { name } : { namespace: metadata.namespace, name }];
}
