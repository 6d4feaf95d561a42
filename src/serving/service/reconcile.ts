import { siblingKey } from '../../api/meta.ts';
import { type Configuration, ConfigurationKind } from '../../api/serving/configuration.ts';
import { labels } from '../../api/serving/names.ts';
import { RevisionKind } from '../../api/serving/revision.ts';
import { type Route, RouteKind } from '../../api/serving/route.ts';
import { type Service, ServiceKind } from '../../api/serving/service.ts';
import type { TrafficTarget } from '../../api/serving/traffic.ts';
import { conditionSet } from '../../kube/conditions.ts';
import { type Run, reconcileInPhases } from '../../kube/phases.ts';
import { type Controller, ownedByName, type ReconcileContext } from '../../kube/reconciler.ts';
import { sameJson } from '../../lib/same-json.ts';
import { setOrDrop } from '../../lib/set-or-drop.ts';
import { ensureChild } from '../ensure-child.ts';
import { exactMetadata } from '../exact-metadata.ts';
import { readyConditionOf } from '../ready.ts';
import { makeConfiguration, makeRoute } from './resources.ts';

type ConditionType = 'Ready' | 'ConfigurationsReady' | 'RoutesReady';
const conditions = conditionSet<ConditionType>({
  happy: 'Ready',
  dependents: ['ConfigurationsReady', 'RoutesReady'],
});

interface Children {
  configuration?: Configuration;
}
type ServiceRun = Run<Service, ConditionType> & Children;

/** Service → Configuration and Route of the same name; their statuses become the Service's. */
export function serviceController(): Controller<Service> {
  return {
    name: 'service',
    kind: ServiceKind,
    reconcile: reconcileInPhases<Service, ConditionType, Children>({
      conditions,
      phases: [ensureConfiguration, awaitOwnRevision, ensureRoute],
    }),
    watches: [ownedByName(ConfigurationKind, ServiceKind, ownName), ownedByName(RouteKind, ServiceKind, ownName)],
  };
}

const ownName = ({ metadata }: Service) => [metadata.name];

async function ensureConfiguration(run: ServiceRun, context: ReconcileContext): Promise<void> {
  const { object: service } = run;
  run.configuration = await ensureChild(run, context, ConfigurationKind, makeConfiguration(service), {
    condition: 'ConfigurationsReady',
    update: replace,
  });
  reportConfiguration(run, run.configuration);
}

async function ensureRoute(run: ServiceRun, context: ReconcileContext): Promise<void> {
  const { object: service } = run;
  const route = await ensureChild(run, context, RouteKind, makeRoute(service), {
    condition: 'RoutesReady',
    update: replace,
  });
  reportRoute(run, route);
}

/** The child's spec, labels and annotations are the Service's, whatever was edited there. */
function replace<T extends Configuration | Route>(current: T, desired: T): T {
  const removesBuild = 'build' in desired.spec && desired.spec.build === null;
  const spec = removesBuild ? withoutBuild(current, desired) : desired.spec;
  return { ...current, spec, metadata: exactMetadata(current, desired) };
}

/** `build: null` is written only to remove a build that is there: the server drops it, so it would never settle. */
function withoutBuild<T extends Configuration | Route>(current: T, desired: T): T['spec'] {
  if ('build' in current.spec && current.spec.build) return desired.spec;
  const spec = { ...desired.spec };
  if ('build' in spec) delete spec.build;
  return spec;
}

/** Blocked when the revision name that the template brings belongs to somebody else: then traffic stays where it is. */
function awaitOwnRevision(run: ServiceRun, { cache }: ReconcileContext): void {
  const { object: service, configuration } = run;
  const name = service.spec.template.metadata?.name;
  if (!name || !configuration) return;
  if (!isUpToDate(configuration)) {
    // It may turn out to be taken: wait, rather than send traffic to a stranger's revision.
    run.isBlocked = true;
    return;
  }
  const revision = cache.get(RevisionKind, siblingKey(service, name));
  if (!revision || revision.metadata.labels?.[labels.configuration] === configuration.metadata.name) return;
  run.conditions.markFalse(
    'RoutesReady',
    'RevisionNameTaken',
    `The revision name "${name}" is taken by a conflicting Revision, so traffic will not be migrated`,
  );
  run.isBlocked = true;
}

function reportConfiguration({ status, conditions }: ServiceRun, configuration: Configuration): void {
  if (!isUpToDate(configuration)) {
    conditions.markUnknown(
      'ConfigurationsReady',
      'OutOfDate',
      'The Configuration is still working to reflect the latest desired specification.',
    );
    return;
  }
  setOrDrop(status, 'latestCreatedRevisionName', configuration.status?.latestCreatedRevisionName);
  setOrDrop(status, 'latestReadyRevisionName', configuration.status?.latestReadyRevisionName);
  const ready = readyConditionOf(configuration);
  if (ready) conditions.copy('ConfigurationsReady', ready);
}

function reportRoute({ configuration, status, conditions }: ServiceRun, route: Route): void {
  if (!isUpToDate(route)) {
    conditions.markUnknown(
      'RoutesReady',
      'OutOfDate',
      'The Route is still working to reflect the latest desired specification.',
    );
    return;
  }
  setOrDrop(status, 'url', route.status?.url);
  setOrDrop(status, 'address', route.status?.address);
  setOrDrop(status, 'traffic', route.status?.traffic);
  const ready = readyConditionOf(route);
  if (ready) conditions.copy('RoutesReady', ready);
  if (conditions.isTrue('RoutesReady') && configuration && !isMigrated(configuration, route)) {
    conditions.markUnknown('RoutesReady', 'TrafficNotMigrated', 'Traffic is not yet migrated to the latest revision.');
  }
}

const isUpToDate = ({ metadata, status }: Configuration | Route): boolean =>
  status !== undefined && metadata.generation === status.observedGeneration;

/** Whether the Route's traffic is what its spec asks for, with the newest ready revision of the Configuration. */
function isMigrated(configuration: Configuration, route: Route): boolean {
  const shape = ({ tag, revisionName, percent }: TrafficTarget) => ({ tag: tag ?? '', revisionName, percent });
  const wanted = (route.spec.traffic ?? []).map((target) =>
    target.configurationName === configuration.metadata.name
      ? shape({ ...target, revisionName: configuration.status?.latestReadyRevisionName ?? '' })
      : shape(target),
  );
  return sameJson(wanted, (route.status?.traffic ?? []).map(shape));
}
