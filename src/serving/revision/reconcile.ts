import { type Deployment, DeploymentKind } from '../../api/apps/deployment.ts';
import { PodKind } from '../../api/core/pod.ts';
import { CoreServiceKind } from '../../api/core/service.ts';
import { noConfiguration } from '../../api/kind.ts';
import { inNamespaceOf, type Key, type KubeObject, keyOf, siblingKey, timestamp } from '../../api/meta.ts';
import type { AutoscalerConfig } from '../../api/serving/autoscaler-config.ts';
import { ConfigurationKind } from '../../api/serving/configuration.ts';
import { annotations, labels } from '../../api/serving/names.ts';
import { type PodAutoscaler, PodAutoscalerKind } from '../../api/serving/pod-autoscaler.ts';
import { type Revision, RevisionKind } from '../../api/serving/revision.ts';
import { type Route, RouteKind } from '../../api/serving/route.ts';
import { reconcileInPhases } from '../../kube/phases.ts';
import { type Cache, type Controller, ownedByName, type ReconcileContext } from '../../kube/reconciler.ts';
import { firstScaleOf } from '../autoscaler/scaling-config.ts';
import { autoscalerConfigReader } from '../config/autoscaler.ts';
import { ensureChild } from '../ensure-child.ts';
import type { DigestResolver } from './digest-queue.ts';
import { hastenPods } from './hasten-pods.ts';
import { deploymentCondition, diagnose } from './health.ts';
import { ImagePins } from './pin-images.ts';
import { reportAutoscaler } from './report-autoscaler.ts';
import { makeDeployment, progressDeadlineMs, userPort } from './resources/deployment.ts';
import { podSelector } from './resources/metadata.ts';
import { deploymentName, podAutoscalerName, serviceName } from './resources/names.ts';
import { makePodAutoscaler, reachabilityOf } from './resources/pod-autoscaler.ts';
import { makeService } from './resources/service.ts';
import { type ConditionType, conditions, type RevisionRun } from './revision-run.ts';

export interface RevisionControllerOptions {
  registry: DigestResolver;
}

/** Revision → Deployment, Service and PodAutoscaler, and how they fare. */
export function revisionController(options: RevisionControllerOptions): Controller<Revision> {
  const readConfig = autoscalerConfigReader();
  const pins = new ImagePins(options.registry);
  return {
    name: 'revision',
    kind: RevisionKind,
    reconcile: reconcileInPhases<Revision, ConditionType, Pick<RevisionRun, 'deployment'>>({
      conditions,
      phases: [
        recordRouting,
        (run, context) => pins.pin(run, context),
        (run, context) => ensureDeployment(run, context, readConfig(context.cache, context.log)),
        ensureService,
        examinePods,
        hastenPods,
        ensureAutoscaler,
      ],
    }),
    onGone: (key) => pins.forget(key),
    watches: [
      ownedByName(DeploymentKind, RevisionKind, (revision) => [deploymentName(revision)]),
      ownedByName(PodAutoscalerKind, RevisionKind, (revision) => [podAutoscalerName(revision)]),
      ownedByName(CoreServiceKind, RevisionKind, (revision) => [serviceName(revision)]),
      { kind: PodKind, keys: revisionOfPod },
      { kind: RouteKind, keys: revisionsOfRoute },
      { kind: ConfigurationKind, keys: awaitedRevisions },
    ],
  };
}

/** `active` while some Route sends to the revision, else `reserve`; with the names of the Routes. */
async function recordRouting(run: RevisionRun, context: ReconcileContext): Promise<void> {
  const { object: revision } = run;
  const routes = context.cache
    .list(RouteKind, inNamespaceOf(revision))
    .filter((route) => !route.metadata.deletionTimestamp && sendsTo(route, revision.metadata.name))
    .map((route) => route.metadata.name)
    .sort()
    .join(',');
  const was = revision.metadata.labels?.[labels.routingState] ?? 'pending';
  const isAwaited = was === 'pending' && isNewest(revision, context.cache);
  const state = routes !== '' ? 'active' : isAwaited ? 'pending' : 'reserve';
  if (state === was && routes === (revision.metadata.annotations?.[annotations.routes] ?? '')) return;
  const patch = {
    metadata: {
      labels: { [labels.routingState]: state },
      annotations: {
        [annotations.routes]: routes || null,
        ...(state === was ? {} : { [annotations.routingStateModified]: timestamp(context.clock.now()) }),
      },
    },
  };
  run.object = await context.client.patch(RevisionKind, keyOf(revision), { type: 'merge', patch });
}

const child = { condition: 'ResourcesAvailable' } as const;

async function ensureDeployment(run: RevisionRun, context: ReconcileContext, config: AutoscalerConfig): Promise<void> {
  const { object: revision, status } = run;
  const scale = firstScaleOf(revision.metadata.annotations, config);
  const pinned: Revision = { ...revision, status };
  const desired = makeDeployment(pinned, scale);
  const deployment = await ensureChild(run, context, DeploymentKind, desired, { ...child, update: keepReplicas });
  run.deployment = deployment;
  if (deployment.status === undefined || deployment.status.observedGeneration === undefined) {
    run.conditions.markUnknown('ResourcesAvailable', 'Deploying', '');
    if (!run.conditions.isTrue('ContainerHealthy')) run.conditions.markUnknown('ContainerHealthy', 'Deploying', '');
    return;
  }
  run.conditions.copy('ResourcesAvailable', deploymentCondition(deployment));
}

/** The Deployment of an immutable revision changes only in scale, which is the autoscaler's. */
function keepReplicas(current: Deployment, desired: Deployment): Deployment {
  const next: Deployment = {
    ...current,
    metadata: { ...current.metadata, labels: { ...current.metadata.labels, ...desired.metadata.labels } },
    spec: {
      ...structuredClone(desired.spec),
      ...(current.spec.replicas === undefined ? {} : { replicas: current.spec.replicas }),
    },
  };
  DeploymentKind.setDefaults?.(next, { old: current, config: noConfiguration });
  return next;
}

async function ensureService(run: RevisionRun, context: ReconcileContext): Promise<void> {
  const { object: revision } = run;
  const { metadata } = await ensureChild(run, context, CoreServiceKind, makeService(revision), {
    ...child,
    // Selector and port follow from the uid and the immutable spec; addresses are the server's.
    update: (current) => current,
  });
  // It had another name before Ingresses named it.
  const former = context.cache
    .ownedBy(CoreServiceKind, revision)
    .filter((other) => other.metadata.name !== metadata.name);
  for (const service of former) await context.client.delete(CoreServiceKind, keyOf(service));
}

/** Why wanted pods are not there; and that they are, once one is ready. */
function examinePods(run: RevisionRun, context: ReconcileContext): void {
  const { deployment, object: revision } = run;
  if (!deployment) return;
  if ((deployment.status?.readyReplicas ?? 0) > 0) {
    run.conditions.markTrue('ContainerHealthy');
    return;
  }
  if ((deployment.spec.replicas ?? 1) === 0 || (deployment.status?.availableReplicas ?? 0) > 0) return;
  const pods = context.cache.list(PodKind, { ...inNamespaceOf(revision), labels: podSelector(revision) });
  const { ailment, againAfterMs } = diagnose(pods, {
    port: userPort(revision),
    progressDeadlineMs: progressDeadlineMs(revision),
    nowMs: context.clock.now(),
  });
  if (ailment?.status === 'False') run.conditions.markFalse(ailment.condition, ailment.reason, ailment.message);
  // What was ready once wakes from zero now: that takes a moment, and does not make it less healthy.
  else if (ailment && !run.conditions.isTrue(ailment.condition)) {
    run.conditions.markUnknown(ailment.condition, ailment.reason, ailment.message);
  }
  if (againAfterMs !== undefined) run.requeue = { requeueAfterMs: Math.max(1, againAfterMs) };
}

async function ensureAutoscaler(run: RevisionRun, context: ReconcileContext): Promise<void> {
  const { object: revision } = run;
  const desired = makePodAutoscaler(revision, reachabilityOf(revision));
  const autoscaler = await ensureChild(run, context, PodAutoscalerKind, desired, { ...child, update: replaceScaling });
  reportAutoscaler(run, autoscaler);
}

const replaceScaling = (current: PodAutoscaler, desired: PodAutoscaler): PodAutoscaler => ({
  ...current,
  metadata: { ...current.metadata, annotations: { ...current.metadata.annotations, ...desired.metadata.annotations } },
  spec: desired.spec,
});

const sendsTo = (route: Route, name: string): boolean =>
  [...(route.status?.traffic ?? []), ...(route.spec.traffic ?? [])].some((target) => target.revisionName === name);

function revisionOfPod(pod: KubeObject): Key[] {
  const name = pod.metadata.labels?.[labels.revision];
  return name === undefined ? [] : [siblingKey(pod, name)];
}

/** Whether a Route that follows the newest revision may be about to send to this one. */
function isNewest(revision: Revision, cache: Cache): boolean {
  const { labels: own, name } = revision.metadata;
  const configurationName = own?.[labels.configuration];
  if (configurationName === undefined) return true;
  const configuration = cache.get(ConfigurationKind, siblingKey(revision, configurationName));
  const isOlder = Number(own?.[labels.configurationGeneration]) < (configuration?.status?.observedGeneration ?? 0);
  return !isOlder || configuration?.status?.latestCreatedRevisionName === name;
}

/** Those that no Route sent to so far, of which a Configuration may have made a newer one. */
function awaitedRevisions(configuration: KubeObject, cache: Cache): Key[] {
  return cache
    .ownedBy(RevisionKind, configuration)
    .filter((revision) => revision.metadata.labels?.[labels.routingState] === 'pending')
    .map(keyOf);
}

/** Those that the Route sends to, and those that it no longer does. */
function revisionsOfRoute(object: KubeObject, cache: Cache): Key[] {
  const name = object.metadata.name;
  return cache
    .list(RevisionKind, inNamespaceOf(object))
    .filter(
      (revision) =>
        sendsTo(object as Route, revision.metadata.name) ||
        revision.metadata.annotations?.[annotations.routes]?.split(',').includes(name),
    )
    .map(keyOf);
}
