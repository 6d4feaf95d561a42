import { isIP } from 'node:net';
import type { EndpointSlice } from '../api/discovery/endpoint-slice.ts';
import { serviceNameLabel } from '../api/discovery/endpoint-slice.ts';
import type { KubeObject } from '../api/meta.ts';
import type { Ingress, IngressPath, IngressSplit } from '../api/networking/ingress.ts';
import { ingressClassAnnotation, kittiwakeIngressClass } from '../api/networking/ingress.ts';
import type { Revision } from '../api/serving/revision.ts';
import { messageOf } from '../lib/errors.ts';
import { serviceName } from '../serving/revision/resources/names.ts';
import { isFieldValue, isHost, isToken } from './http1/syntax.ts';
import type { Split } from './snapshot.ts';
import {
  defaultTarget,
  type EndpointAddress,
  type PathRoute,
  type Problem,
  type RevisionTarget,
  type Snapshot,
} from './snapshot.ts';

/** Ports of a revision's Service by preference: what Serving calls the port that takes requests. */
const requestPorts = ['http', 'http1', 'user-port', 'h2c'];

/**
 * The whole routing table from the objects that say it. Pure; objects of other ingress classes are left out. Whatever
 * is wrong with one path, address or limit costs that one: it is left out, and said among the snapshot's problems.
 */
export function buildSnapshot(
  ingresses: readonly Ingress[],
  slices: readonly EndpointSlice[],
  revisions: readonly Revision[],
): Snapshot {
  const hosts = new Map<string, readonly PathRoute[]>();
  const routed = new Set<string>();
  const problems: Problem[] = [];
  for (const ingress of inOrderOfCreation(ingresses)) {
    if ((ingress.metadata.annotations?.[ingressClassAnnotation] ?? kittiwakeIngressClass) !== kittiwakeIngressClass) {
      continue;
    }
    each(ingress.spec?.rules ?? [], problemsOf('Ingress', ingress, 'spec.rules', problems), (rule, at) => {
      const paths = rule.http?.paths ?? [];
      const routes: PathRoute[] = [];
      const report = problemsOf('Ingress', ingress, `spec.rules[${at}].http.paths`, problems);
      each(paths, report, (path, pathAt) => {
        routes.push(routeOf(path, (why) => report(why, pathAt)));
      });
      for (const route of routes) for (const split of route.splits) routed.add(split.revision);
      // One list for all hosts of the rule: an Ingress may have thousands of both.
      const sorted = routes.toSorted(bySpecificity);
      each(rule.hosts ?? [], problemsOf('Ingress', ingress, `spec.rules[${at}].hosts`, problems), (host) => {
        // The older Ingress owns a host that two of them name.
        const key = text(host, 'the host').toLowerCase();
        if (!hosts.has(key)) hosts.set(key, sorted);
      });
    });
  }
  return { hosts, revisions: targetsOf(routed, slices, revisions, problems), problems };
}

/** Calls `work` with each of `items`; what it throws is a problem of that one. */
function each<T>(items: readonly T[], report: (why: string, at: number) => void, work: (item: T, at: number) => void) {
  if (!Array.isArray(items)) {
    report('is not a list', -1);
    return;
  }
  for (const [at, item] of items.entries()) {
    try {
      work(item, at);
    } catch (error) {
      report(messageOf(error), at);
    }
  }
}

function problemsOf(kind: string, { metadata }: KubeObject, field: string, problems: Problem[]) {
  return (why: string, at: number) => {
    const where = at === -1 ? field : `${field}[${at}]`;
    problems.push({ object: `${kind} ${metadata.namespace ?? ''}/${metadata.name}`, why: `${where}: ${why}` });
  };
}

/** A path whose splits are wrong stays, with none: its requests must not fall to the next path's revision. */
function routeOf(path: IngressPath, report: (why: string) => void): PathRoute {
  const headers = Object.entries(path.headers ?? {}).map(([name, match]) => ({
    name: fieldName(name).toLowerCase(),
    value: text(match?.exact, `the exact value of header ${name}`),
  }));
  const prefix = text(path.path ?? '/', 'path');
  const route = { prefix: prefix === '' ? '/' : prefix, headers, splits: [] };
  try {
    if (!Array.isArray(path.splits)) throw new Error('splits is not a list');
    const splits = path.splits.map((split) => splitOf(split, path, path.splits.length));
    const { rewriteHost } = path;
    if (rewriteHost === undefined) return { ...route, splits };
    if (isHost(text(rewriteHost, 'rewriteHost'))) return { ...route, splits, rewriteHost };
    report(`rewriteHost is no host: ${JSON.stringify(rewriteHost)}`);
  } catch (error) {
    report(messageOf(error));
  }
  return route;
}

function splitOf(split: IngressSplit, path: IngressPath, count: number): Split {
  // A single split may leave out its 100.
  const percent = split.percent ?? (count === 1 ? 100 : 0);
  if (!Number.isFinite(percent) || percent < 0) throw new Error(`percent is ${percent}: it must be 0 or more`);
  const appendHeaders = { ...path.appendHeaders, ...split.appendHeaders };
  for (const [name, value] of Object.entries(appendHeaders)) {
    if (framingNames.has(fieldName(name).toLowerCase())) {
      throw new Error(`appendHeaders has ${name}, which frames or routes a request: leave it out`);
    }
    if (!isFieldValue(text(value, `the value of header ${name}`))) {
      throw new Error(`appendHeaders has a value for ${name} that cannot stand in a header`);
    }
  }
  const namespace = text(split.serviceNamespace, 'serviceNamespace');
  return { percent, revision: `${namespace}/${text(split.serviceName, 'serviceName')}`, appendHeaders };
}

/** Fields that say how a request is read, or where it goes: only the gateway writes them. */
const framingNames: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'host',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

function text(value: unknown, what: string): string {
  if (typeof value !== 'string') throw new Error(`${what} is not text`);
  return value;
}

function fieldName(name: string): string {
  if (!isToken(name)) throw new Error(`${JSON.stringify(name)} is no header name`);
  return name;
}

/** Longest prefix first; of equal ones that with more header matches first (sorting keeps the order of the rest). */
function bySpecificity(a: PathRoute, b: PathRoute): number {
  return b.prefix.length - a.prefix.length || b.headers.length - a.headers.length;
}

function targetsOf(
  routed: ReadonlySet<string>,
  slices: readonly EndpointSlice[],
  revisions: readonly Revision[],
  problems: Problem[],
): Map<string, RevisionTarget> {
  const addresses = addressesByService(slices, problems);
  const addressesOf = (namespace: string, name: string) =>
    addresses.get(`${namespace}/${serviceName({ metadata: { name } })}`) ?? [];
  const targets = new Map<string, RevisionTarget>();
  for (const revision of revisions) {
    const { namespace = '', name } = revision.metadata;
    const key = `${namespace}/${name}`;
    if (!routed.has(key)) continue;
    const { containerConcurrency, timeoutSeconds, responseStartTimeoutSeconds, idleTimeoutSeconds } =
      revision.spec ?? {};
    const defaults = defaultTarget(namespace, name);
    const report = problemsOf('Revision', revision, 'spec', problems);
    const amount = (value: number | undefined, field: string): number | undefined => {
      if (value === undefined || (Number.isFinite(value) && value >= 0)) return value;
      report(`${field} is no number of 0 or more`, -1);
      return undefined;
    };
    targets.set(key, {
      namespace,
      name,
      containerConcurrency: amount(containerConcurrency, 'containerConcurrency') ?? 0,
      // 0 stands for the default (Knative's RevisionSpec.SetDefaults).
      timeoutMs: (amount(timeoutSeconds, 'timeoutSeconds') || defaults.timeoutMs / 1000) * 1000,
      responseStartTimeoutMs: (amount(responseStartTimeoutSeconds, 'responseStartTimeoutSeconds') ?? 0) * 1000,
      idleTimeoutMs: (amount(idleTimeoutSeconds, 'idleTimeoutSeconds') ?? 0) * 1000,
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
function addressesByService(slices: readonly EndpointSlice[], problems: Problem[]): Map<string, EndpointAddress[]> {
  const found = new Map<string, EndpointAddress[]>();
  for (const slice of slices) {
    const service = slice.metadata.labels?.[serviceNameLabel];
    if (service === undefined || slice.addressType === 'FQDN') continue;
    const report = problemsOf('EndpointSlice', slice, 'endpoints', problems);
    each([slice], problemsOf('EndpointSlice', slice, 'ports', problems), () => {
      const port = requestPort(slice);
      if (port === undefined) return;
      if (!Number.isInteger(port) || port < 1 || port > 65_535) throw new Error(`${port} is no port`);
      const key = `${slice.metadata.namespace ?? ''}/${service}`;
      const addresses = found.get(key) ?? [];
      found.set(key, addresses);
      each(slice.endpoints, report, ({ conditions, addresses: hosts }) => {
        if (conditions?.ready === false || conditions?.terminating === true) return;
        const [host] = hosts;
        if (host === undefined) return;
        // A name would be looked up, and any text may be one.
        if (isIP(host) === 0) throw new Error(`${JSON.stringify(host)} is no IP address`);
        addresses.push({ host, port });
      });
    });
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
  const byAge = ingresses.map((ingress) => {
    const { creationTimestamp = '', namespace, name } = ingress.metadata;
    return { ingress, age: `${creationTimestamp} ${namespace}/${name}` };
  });
  return byAge.sort((a, b) => (a.age < b.age ? -1 : 1)).map(({ ingress }) => ingress);
}
