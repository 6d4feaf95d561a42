import { type Deployment, DeploymentKind } from '../../api/apps/deployment.ts';
import { conditionOf, type Key, type KubeObject, keyOf, keyText, siblingKey } from '../../api/meta.ts';
import { autoscalerConfigName } from '../../api/serving/autoscaler-config.ts';
import { labels } from '../../api/serving/names.ts';
import { type PodAutoscaler, PodAutoscalerKind, targetKey } from '../../api/serving/pod-autoscaler.ts';
import { type ConditionManager, conditionSet } from '../../kube/conditions.ts';
import { type Run, reconcileInPhases } from '../../kube/phases.ts';
import type { Controller } from '../../kube/reconciler.ts';
import { scalingConfigOf } from '../autoscaler/scaling-config.ts';
import { autoscalerConfigReader } from '../config/autoscaler.ts';
import { configWatch } from '../config/config-map.ts';
import { serviceName } from '../revision/resources/names.ts';

type ConditionType = 'Ready' | 'Active' | 'ScaleTargetInitialized' | 'SKSReady';
const conditions = conditionSet<ConditionType>({
  happy: 'Ready',
  dependents: ['Active', 'ScaleTargetInitialized', 'SKSReady'],
});

interface Seen {
  scale: Scale;
  bounds: { minScale: number; initialScale: number };
}
type AutoscalerRun = Run<PodAutoscaler, ConditionType> & Seen;

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
    reconcile: reconcileInPhases<PodAutoscaler, ConditionType, Seen>({
      conditions,
      begin(autoscaler, { cache, clock, log }) {
        const deployment = cache.get(DeploymentKind, targetKey(autoscaler));
        if (!deployment) return undefined;
        const scale = scaleOf(deployment);
        const key = keyText(keyOf(autoscaler));
        if (isWaking(autoscaler, scale)) {
          const nowMs = clock.now();
          const sinceMs = wakingSince.get(key) ?? nowMs;
          wakingSince.set(key, sinceMs);
          const leftMs = sinceMs + wakeQuietMs - nowMs;
          if (leftMs > 0) return { requeueAfterMs: leftMs };
        } else wakingSince.delete(key);
        return { scale, bounds: scalingConfigOf(autoscaler, readConfig(cache, log)) };
      },
      phases: [reportScales, ({ conditions, scale, bounds }) => reportScale(conditions, scale, bounds)],
    }),
    onGone(key) {
      wakingSince.delete(keyText(key));
    },
    watches: [
      { kind: DeploymentKind, keys: autoscalerOfDeployment },
      configWatch(autoscalerConfigName, PodAutoscalerKind),
    ],
  };
}

/** Gateways take the place of Knative's ServerlessService: there is nothing to wait for. */
function reportScales({ object, status, conditions, scale }: AutoscalerRun): void {
  conditions.markTrue('SKSReady');
  status.serviceName = serviceName(object);
  status.metricsServiceName = status.serviceName;
  status.desiredScale = scale.want;
  status.actualScale = scale.ready;
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
  conditions: ConditionManager<ConditionType>,
  { want, ready }: Scale,
  { minScale, initialScale }: { minScale: number; initialScale: number },
): void {
  const threshold = conditions.isTrue('ScaleTargetInitialized')
    ? Math.max(minScale, 1)
    : Math.max(minScale, initialScale);
  if (ready >= threshold) conditions.markTrue('ScaleTargetInitialized');
  if (want === 0 || threshold === 0) {
    const wasActivating =
      conditions.get('Active')?.status === 'Unknown' && conditions.get('Active')?.reason === 'Queued';
    const isStill = conditions.get('Active')?.reason === 'TimedOut';
    if (threshold > 0 && !conditions.isTrue('ScaleTargetInitialized') && (wasActivating || isStill)) {
      conditions.markFalse('Active', 'TimedOut', 'The target could not be activated.');
    } else conditions.markFalse('Active', 'NoTraffic', 'The target is not receiving traffic.');
  } else if (ready < threshold) {
    const message = 'Requests to the target are being buffered as resources are provisioned.';
    conditions.markUnknown('Active', 'Queued', message);
  } else conditions.markTrue('Active');
}

function scaleOf(deployment: Deployment): Scale {
  return { want: deployment.spec.replicas ?? 1, ready: deployment.status?.readyReplicas ?? 0 };
}

function autoscalerOfDeployment(deployment: KubeObject): Key[] {
  const name = deployment.metadata.labels?.[labels.revision];
  return name === undefined ? [] : [siblingKey(deployment, name)];
}
