import type { Ingress, IngressPath, IngressSplit, IngressVisibility } from '../../api/networking/ingress.ts';
import { messageOf } from '../../lib/errors.ts';
import { isFieldValue, isHost, isToken } from '../http1/syntax.ts';
import type { PathRoute, Problem, Split } from './change.ts';
import { each, reportOf } from './problems.ts';

/** The number of the port that a Service, `namespace/name`, has under a name; that name while it has none. */
export type PortOf = (service: string, name: string) => string;

/**
 * The routes of each host of an Ingress; hosts of one rule share one list, as an Ingress may have thousands of both.
 * Pure. Whatever is wrong with one rule, path or host costs that one: it is left out, and told among `problems`.
 */
export function routesOf(
  ingress: Ingress,
  problems: Problem[],
  portOf: PortOf = (_, name) => name,
): Map<string, readonly PathRoute[]> {
  const hosts = new Map<string, readonly PathRoute[]>();
  each(ingress.spec?.rules ?? [], reportOf('Ingress', ingress, 'spec.rules', problems), (rule, at) => {
    const paths = rule.http?.paths ?? [];
    const routes: PathRoute[] = [];
    const report = reportOf('Ingress', ingress, `spec.rules[${at}].http.paths`, problems);
    each(paths, report, (path, pathAt) => {
      const route = routeOf(path, portOf, (why) => report(why, pathAt));
      routes.push(rule.visibility === clusterLocalRule ? { ...route, isClusterLocal: true } : route);
    });
    const sorted = routes.toSorted(bySpecificity);
    each(rule.hosts ?? [], reportOf('Ingress', ingress, `spec.rules[${at}].hosts`, problems), (host) => {
      const key = text(host, 'the host').toLowerCase();
      if (!hosts.has(key)) hosts.set(key, sorted);
    });
  });
  return hosts;
}

const clusterLocalRule: IngressVisibility = 'ClusterLocal';

/** A path whose splits are wrong stays, with none: its requests must not fall to the next path's Service. */
function routeOf(path: IngressPath, portOf: PortOf, report: (why: string) => void): PathRoute {
  const headers = Object.entries(path.headers ?? {}).map(([name, match]) => ({
    name: fieldName(name).toLowerCase(),
    value: text(match?.exact, `the exact value of header ${name}`),
  }));
  const prefix = text(path.path ?? '/', 'path');
  const route = { prefix: prefix === '' ? '/' : prefix, headers, splits: [] };
  try {
    if (!Array.isArray(path.splits)) throw new Error('splits is not a list');
    const splits = path.splits.map((split) => splitOf(split, path, portOf));
    const { rewriteHost } = path;
    if (rewriteHost === undefined) return { ...route, splits };
    if (isHost(text(rewriteHost, 'rewriteHost'))) return { ...route, splits, rewriteHost };
    report(`rewriteHost is no host: ${JSON.stringify(rewriteHost)}`);
  } catch (error) {
    report(messageOf(error));
  }
  return route;
}

function splitOf(split: IngressSplit, path: IngressPath, portOf: PortOf): Split {
  // A single split may leave out its 100.
  const percent = split.percent ?? (path.splits.length === 1 ? 100 : 0);
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
  const service = `${text(split.serviceNamespace, 'serviceNamespace')}/${text(split.serviceName, 'serviceName')}`;
  const { servicePort } = split;
  if (typeof servicePort === 'number') return { percent, target: `${service}:${servicePort}`, appendHeaders };
  if (typeof servicePort !== 'string' || servicePort === '') {
    throw new Error('servicePort is neither a number nor a name');
  }
  return { percent, target: `${service}:${portOf(service, servicePort)}`, appendHeaders };
}

/** Fields that say how a request is read, or where it goes: only the gateway writes them. */
const framingNames: ReadonlySet<string> = new Set(
  'connection content-length expect host keep-alive te trailer transfer-encoding upgrade'.split(' '),
);

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
