import { timestamp } from '../../api/meta.ts';
import { type Configuration, ConfigurationKind } from '../../api/serving/configuration.ts';
import { labels } from '../../api/serving/names.ts';
import { RevisionKind } from '../../api/serving/revision.ts';
import { type Route, RouteKind } from '../../api/serving/route.ts';
import { type Service, ServiceKind, type ServiceStatus } from '../../api/serving/service.ts';
import type { TrafficTarget } from '../../api/serving/traffic.ts';
import { conditionSet } from '../../kube/conditions.ts';
import { ensure, NotOwnedError } from '../../kube/ensure.ts';
import { type Controller, ownedByName, type Reconcile, type ReconcileContext } from '../../kube/reconciler.ts';
import { updateStatus } from '../../kube/update-status.ts';
import { sameJson } from '../../lib/same-json.ts';
import { exactMetadata } from '../exact-metadata.ts';
import { readyConditionOf } from '../ready.ts';
import { makeConfiguration, makeRoute } from './resources.ts';

const conditions = conditionSet({ happy: 'Ready', dependents: ['ConfigurationsReady', 'RoutesReady'] });
type Conditions = ReturnType<typeof conditions.manage>;

/** Service → Configuration and Route of the same name; their statuses become the Service's. */
export function serviceController(): Controller<Service> {
  return {
    name: 'service',
    kind: ServiceKind,
    reconcile: reconcileService,
    watches: [ownedByName(ConfigurationKind, ServiceKind, ownName), ownedByName(RouteKind, ServiceKind, ownName)],
  };
}

const ownName = ({ metadata }: Service) => [metadata.name];

export const reconcileService: Reconcile<Service> = async (service, context) => {
  if (service.metadata.deletionTimestamp) return;
  const now = timestamp(context.clock.now());
  const managed = conditions.manage(service.status?.conditions, now);
  const status: ServiceStatus = { ...service.status, observedGeneration: service.metadata.generation ?? 1 };

  try {
    const configuration = await ensureConfiguration(service, context, managed);
    const isNameTaken = reportConfiguration(service, configuration, context, status, managed);
    if (!isNameTaken) {
      const route = await ensureRoute(service, context, managed);
      reportRoute(configuration, route, status, managed);
    }
  } finally {
    status.conditions = managed.conditions;
    await updateStatus(context, service, status);
  }
};

async function ensureConfiguration(service: Service, context: ReconcileContext, managed: Conditions) {
  try {
    return await ensure(context, ConfigurationKind, makeConfiguration(service), { owner: service, update: replace });
  } catch (error) {
    if (error instanceof NotOwnedError) {
      const message = `There is an existing Configuration "${service.metadata.name}" that we do not own.`;
      managed.markFalse('ConfigurationsReady', 'NotOwned', message);
    }
    throw error;
  }
}

async function ensureRoute(service: Service, context: ReconcileContext, managed: Conditions) {
  try {
    return await ensure(context, RouteKind, makeRoute(service), { owner: service, update: replace });
  } catch (error) {
    if (error instanceof NotOwnedError) {
      const message = `There is an existing Route "${service.metadata.name}" that we do not own.`;
      managed.markFalse('RoutesReady', 'NotOwned', message);
    }
    throw error;
  }
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

/** Whether the revision name that the template brings belongs to somebody else: then traffic stays where it is. */
function reportConfiguration(
  service: Service,
  configuration: Configuration,
  context: ReconcileContext,
  status: ServiceStatus,
  managed: Conditions,
): boolean {
  if (!configuration.status || configuration.metadata.generation !== configuration.status.observedGeneration) {
    managed.markUnknown(
      'ConfigurationsReady',
      'OutOfDate',
      'The Configuration is still working to reflect the latest desired specification.',
    );
    // A name of one's own may turn out to be taken: wait, rather than send traffic to a stranger's revision.
    if (service.spec.template.metadata?.name) return true;
  } else {
    copy(status, 'latestCreatedRevisionName', configuration.status.latestCreatedRevisionName);
    copy(status, 'latestReadyRevisionName', configuration.status.latestReadyRevisionName);
    propagate(managed, 'ConfigurationsReady', configuration);
  }
  const name = service.spec.template.metadata?.name;
  if (!name) return false;
  const { namespace } = service.metadata;
  const revision = context.cache.get(RevisionKind, namespace === undefined ? { name } : { namespace, name });
  if (!revision || revision.metadata.labels?.[labels.configuration] === configuration.metadata.name) return false;
  managed.markFalse(
    'RoutesReady',
    'RevisionNameTaken',
    `The revision name "${name}" is taken by a conflicting Revision, so traffic will not be migrated`,
  );
  return true;
}

function reportRoute(configuration: Configuration, route: Route, status: ServiceStatus, managed: Conditions): void {
  if (!route.status || route.metadata.generation !== route.status.observedGeneration) {
    managed.markUnknown(
      'RoutesReady',
      'OutOfDate',
      'The Route is still working to reflect the latest desired specification.',
    );
    return;
  }
  copy(status, 'url', route.status.url);
  copy(status, 'address', route.status.address);
  copy(status, 'traffic', route.status.traffic);
  propagate(managed, 'RoutesReady', route);
  if (managed.isTrue('RoutesReady') && !isMigrated(configuration, route)) {
    managed.markUnknown('RoutesReady', 'TrafficNotMigrated', 'Traffic is not yet migrated to the latest revision.');
  }
}

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

function propagate(managed: Conditions, type: 'ConfigurationsReady' | 'RoutesReady', child: Configuration | Route) {
  const ready = readyConditionOf(child);
  if (!ready) return;
  if (ready.status === 'True') managed.markTrue(type);
  else if (ready.status === 'False') managed.markFalse(type, ready.reason ?? '', ready.message ?? '');
  else managed.markUnknown(type, ready.reason ?? '', ready.message ?? '');
}

function copy<K extends keyof ServiceStatus>(status: ServiceStatus, field: K, value: ServiceStatus[K] | undefined) {
  if (value === undefined) delete status[field];
  else status[field] = value;
}
