import type { EndpointSlice } from '../api/discovery/endpoint-slice.ts';
import { serviceNameLabel } from '../api/discovery/endpoint-slice.ts';
import type { Ingress, IngressPath, IngressSplit } from '../api/networking/ingress.ts';
import { ingressClassAnnotation, kittiwakeIngressClass } from '../api/networking/ingress.ts';
import type { Revision } from '../api/serving/revision.ts';
import { privateServiceName } from '../serving/revision/resources/names.ts';
import type { Split } from './snapshot.ts';
import { defaultTarget, type EndpointAddress, type PathRoute, type RevisionTarget, type Snapshot } from './snapshot.ts';

/** Ports of a revision's Service by preference: what Serving calls the port that takes requests. */
const requestPorts = ['http', 'http1', 'user-port', 'h2c'];

/** The whole routing table from the objects that say it. Pure; objects of other ingress classes are left out. */
export function buildSnapshot(
  ingresses: readonly Ingress[],
  slices: readonly EndpointSlice[],
  revisions: readonly Revision[],
): Snapshot {
  const hosts = new Map<string, PathRoute[]>();
  const routed = new Set<string>();
  for (const ingress of inOrderOfCreation(ingresses)) {
    if ((ingress.metadata.annotations?.[ingressClassAnnotation] ?? kittiwakeIngressClass) !== kittiwakeIngressClass) {
      continue;
    }
    for (const rule of ingress.spec.rules ?? []) {
      const routes = (rule.http?.paths ?? []).map(routeOf);
      for (const route of routes) for (const split of route.splits) routed.add(split.revision);
      for (const host of rule.hosts ?? []) {
        // The older Ingress owns a host that two of them name.
        const key = host.toLowerCase();
        if (!hosts.has(key)) hosts.set(key, routes.toSorted(bySpecificity));
      }
    }
  }
  return { hosts, revisions: targetsOf(routed, slices, revisions) };
}

function routeOf(path: IngressPath): PathRoute {
  const headers = Object.entries(path.headers ?? {}).map(([name, match]) => ({
    name: name.toLowerCase(),
    value: match.exact,
  }));
  const splits = path.splits.map((split) => splitOf(split, path, path.splits.length));
  const route = { prefix: path.path ?? '/', headers, splits };
  return path.rewriteHost === undefined ? route : { ...route, rewriteHost: path.rewriteHost };
}

function splitOf(split: IngressSplit, path: IngressPath, count: number): Split {
  return {
    // A single split may leave out its 100.
    percent: split.percent ?? (count === 1 ? 100 : 0),
    revision: `${split.serviceNamespace}/${split.serviceName}`,
    appendHeaders: { ...path.appendHeaders, ...split.appendHeaders },
  };
}

/** Longest prefix first; of equal ones that with more header matches first (sorting keeps the order of the rest). */
function bySpecificity(a: PathRoute, b: PathRoute): number {
  return b.prefix.length - a.prefix.length || b.headers.length - a.headers.length;
}

function targetsOf(
  routed: ReadonlySet<string>,
  slices: readonly EndpointSlice[],
  revisions: readonly Revision[],
): Map<string, RevisionTarget> {
  const addresses = addressesByService(slices);
  const addressesOf = (namespace: string, name: string) =>
    addresses.get(`${namespace}/${privateServiceName({ metadata: { name } })}`) ?? [];
  const targets = new Map<string, RevisionTarget>();
  for (const revision of revisions) {
    const { namespace = '', name } = revision.metadata;
    const key = `${namespace}/${name}`;
    if (!routed.has(key)) continue;
    const { containerConcurrency = 0, timeoutSeconds, responseStartTimeoutSeconds, idleTimeoutSeconds } = revision.spec;
    const defaults = defaultTarget(namespace, name);
    targets.set(key, {
      namespace,
      name,
      containerConcurrency,
      timeoutMs: timeoutSeconds === undefined ? defaults.timeoutMs : timeoutSeconds * 1000,
      responseStartTimeoutMs: (responseStartTimeoutSeconds ?? 0) * 1000,
      idleTimeoutMs: (idleTimeoutSeconds ?? 0) * 1000,
      endpoints: addressesOf(namespace, name),
    });
  }
  for (const key of routed) {
    if (targets.has(key)) continue;
    const [namespace = '', name = ''] = key.split('/');
    targets.set(key, { ...defaultTarget(namespace, name), endpoints: addressesOf(namespace, name) });
  }
  return targets;
}

/** By `namespace/name` of the Service. */
function addressesByService(slices: readonly EndpointSlice[]): Map<string, EndpointAddress[]> {
  const found = new Map<string, EndpointAddress[]>();
  for (const slice of slices) {
    const service = slice.metadata.labels?.[serviceNameLabel];
    const port = requestPort(slice);
    if (service === undefined || port === undefined) continue;
    if (slice.addressType === 'FQDN') continue;
    const key = `${slice.metadata.namespace ?? ''}/${service}`;
    const addresses = found.get(key) ?? [];
    found.set(key, addresses);
    for (const { conditions, addresses: hosts } of slice.endpoints) {
      if (conditions?.ready === false || conditions?.terminating === true) continue;
      const [host] = hosts;
      if (host !== undefined) addresses.push({ host, port });
    }
  }
  return found;
}

function requestPort(slice: EndpointSlice): number | undefined {
  const ports = slice.ports ?? [];
  for (const name of requestPorts) {
    const named = ports.find((port) => port.name === name && port.port !== undefined);
    if (named !== undefined) return named.port;
  }
  return ports[0]?.port;
}

function inOrderOfCreation(ingresses: readonly Ingress[]): Ingress[] {
  const age = ({ metadata }: Ingress) => `${metadata.creationTimestamp ?? ''} ${metadata.namespace}/${metadata.name}`;
  return ingresses.toSorted((a, b) => (age(a) < age(b) ? -1 : 1));
}
