import { type CoreService, CoreServiceKind } from '../../api/core/service.ts';
import { inNamespaceOf, type Key, type KubeObject, keyOf, siblingKey } from '../../api/meta.ts';
import { type Ingress, IngressKind } from '../../api/networking/ingress.ts';
import { type Configuration, ConfigurationKind } from '../../api/serving/configuration.ts';
import { labels } from '../../api/serving/names.ts';
import { type Revision, RevisionKind } from '../../api/serving/revision.ts';
import { type Route, RouteKind } from '../../api/serving/route.ts';
import { conditionSet } from '../../kube/conditions.ts';
import { type Phase, type Run, reconcileInPhases } from '../../kube/phases.ts';
import { type Cache, type Controller, ownedByName, type ReconcileContext } from '../../kube/reconciler.ts';
import { configWatch } from '../config/config-map.ts';
import { type DomainConfig, domainConfigName, domainConfigReader } from '../config/domain.ts';
import { ensureChild } from '../ensure-child.ts';
import { exactMetadata } from '../exact-metadata.ts';
import { readyConditionOf } from '../ready.ts';
import { hostsOf, internalUrlOf, urlOf } from './domains.ts';
import { makeIngress } from './resources/ingress.ts';
import { makePlaceholderService, placeholderName } from './resources/placeholder-service.ts';
import { type ResolvedTarget, resolveTraffic } from './traffic.ts';

type ConditionType = 'Ready' | 'AllTrafficAssigned' | 'IngressReady' | 'CertificateProvisioned';
const conditions = conditionSet<ConditionType>({
  happy: 'Ready',
  dependents: ['AllTrafficAssigned', 'IngressReady', 'CertificateProvisioned'],
});

interface RouteRun extends Run<Route, ConditionType> {
  domains: DomainConfig;
  /** Absent when traffic cannot be assigned: what was assigned before stays. */
  targets?: ResolvedTarget[];
}

export interface RouteControllerOptions {
  /** Under which Services are reached from outside, while no `config-domain` says otherwise. */
  domain: string;
  /** The port that clients outside use: URLs show it. */
  gatewayPort: number;
}

/** Route → Ingress and placeholder Services; which revision gets which share, and the URLs. */
export function routeController(options: RouteControllerOptions): Controller<Route> {
  const readDomains = domainConfigReader(options.domain);
  return {
    name: 'route',
    kind: RouteKind,
    reconcile: reconcileInPhases<Route, ConditionType, Pick<RouteRun, 'domains' | 'targets'>>({
      conditions,
      begin: (_, context) => ({ domains: readDomains(context.cache, context.log) }),
      phases: [
        reportUrls(options.gatewayPort),
        assignTraffic,
        ensurePlaceholders,
        ensureIngress,
        reportTraffic(options.gatewayPort),
      ],
    }),
    watches: [
      ownedByName(IngressKind, RouteKind, (route) => [route.metadata.name]),
      ownedByName(CoreServiceKind, RouteKind, placeholderNames),
      { kind: ConfigurationKind, keys: routesOfConfiguration },
      { kind: RevisionKind, keys: routesOfRevision },
      configWatch(domainConfigName, RouteKind),
    ],
  };
}

function reportUrls(gatewayPort: number): Phase<RouteRun> {
  return ({ object: route, status, domains, conditions }) => {
    const hosts = hostsOf(route, undefined, domains);
    status.url = urlOf(hosts, gatewayPort);
    status.address = { url: internalUrlOf(hosts) };
    conditions.markTrue('CertificateProvisioned', 'TLSNotEnabled', 'external-domain-tls is not enabled');
  };
}

function assignTraffic(run: RouteRun, context: ReconcileContext): void {
  const { cache } = context;
  const resolved = resolveTraffic(run.object, {
    configuration: (name): Configuration | undefined => cache.get(ConfigurationKind, siblingKey(run.object, name)),
    revision: (name): Revision | undefined => cache.get(RevisionKind, siblingKey(run.object, name)),
  });
  if ('problem' in resolved) {
    run.conditions.copy('AllTrafficAssigned', resolved.problem);
    return;
  }
  run.targets = resolved.targets;
  run.conditions.markTrue('AllTrafficAssigned');
}

/** A core Service for the Route and for each tag; those of tags that are gone go too. */
async function ensurePlaceholders(run: RouteRun, context: ReconcileContext): Promise<void> {
  const { object: route } = run;
  const wanted = new Set(placeholderNames(route));
  for (const tag of placeholderTags(route)) {
    const desired = makePlaceholderService(route, tag);
    await ensureChild(run, context, CoreServiceKind, desired, {
      condition: 'IngressReady',
      what: 'placeholder Service',
      update: replaceMetadata,
    });
  }
  for (const service of context.cache.ownedBy(CoreServiceKind, route)) {
    if (!wanted.has(service.metadata.name)) await context.client.delete(CoreServiceKind, keyOf(service));
  }
}

const placeholderTags = ({ spec }: Route) => [
  undefined,
  ...new Set((spec.traffic ?? []).flatMap(({ tag }) => tag || [])),
];

const placeholderNames = (route: Route) => placeholderTags(route).map((tag) => placeholderName(route, tag));

const replaceMetadata = (current: CoreService, desired: CoreService): CoreService => ({
  ...current,
  metadata: exactMetadata(current, desired),
});

async function ensureIngress(run: RouteRun, context: ReconcileContext): Promise<void> {
  const { object: route, targets, domains } = run;
  const ingress = targets
    ? await ensureChild(run, context, IngressKind, makeIngress(route, targets, domains), {
        condition: 'IngressReady',
        update: replaceIngress,
      })
    : context.cache.get(IngressKind, keyOf(route));
  const ready = ingress && readyConditionOf(ingress);
  if (!ingress || !ready || ingress.status?.observedGeneration !== ingress.metadata.generation) {
    run.conditions.markUnknown('IngressReady', 'IngressNotConfigured', 'Ingress has not yet been reconciled.');
  } else run.conditions.copy('IngressReady', ready);
}

const replaceIngress = (current: Ingress, desired: Ingress): Ingress => ({
  ...current,
  metadata: exactMetadata(current, desired),
  spec: desired.spec,
});

/** The shares as the gateway has them: they change only once the Ingress is written. */
function reportTraffic(gatewayPort: number): Phase<RouteRun> {
  return ({ object: route, targets, status, domains }) => {
    if (!targets) return;
    status.traffic = targets.map(({ tag, revisionName, latestRevision, percent }) => ({
      ...(tag === undefined ? {} : { tag, url: urlOf(hostsOf(route, tag, domains), gatewayPort) }),
      revisionName,
      latestRevision,
      percent,
    }));
  };
}

function routesOfConfiguration(object: KubeObject, cache: Cache): Key[] {
  return routesThat(object, cache, (route) =>
    (route.spec.traffic ?? []).some((target) => target.configurationName === object.metadata.name),
  );
}

function routesOfRevision(object: KubeObject, cache: Cache): Key[] {
  const { name } = object.metadata;
  const configuration = object.metadata.labels?.[labels.configuration];
  return routesThat(object, cache, (route) =>
    (route.spec.traffic ?? []).some(
      (target) =>
        target.revisionName === name || (configuration !== undefined && target.configurationName === configuration),
    ),
  );
}

function routesThat(object: KubeObject, cache: Cache, isConcerned: (route: Route) => boolean): Key[] {
  return cache.list(RouteKind, inNamespaceOf(object)).filter(isConcerned).map(keyOf);
}
