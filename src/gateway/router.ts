import { Backend, type BackendOptions } from './backend.ts';
import { fieldValue } from './http1/fields.ts';
import { defaultTarget, type PathRoute, type Snapshot, type Split } from './snapshot.ts';

/** A route with its backends looked up and its header fields spelt out, so that a request only follows pointers. */
export interface BoundRoute {
  prefix: string;
  headers: PathRoute['headers'];
  rewriteHost: string | undefined;
  splits: readonly BoundSplit[];
  percentSum: number;
}

export interface BoundSplit {
  percent: number;
  backend: Backend;
  /** Complete lines. */
  appendFields: string;
  /** Lower-case names of `appendFields` that are not already kept from clients (Knative-Serving-*); mostly empty. */
  overriddenNames: ReadonlySet<string>;
}

/** Finds the revision for a request. Reading never waits; `swap` replaces all routes at once. */
export class Router {
  readonly #options: BackendOptions;
  readonly #backends = new Map<string, Backend>();
  #hosts = new Map<string, readonly BoundRoute[]>();

  constructor(options: BackendOptions) {
    this.#options = options;
  }

  backends(): IterableIterator<Backend> {
    return this.#backends.values();
  }

  /** The routes of a Host header's value, whatever its case and port; undefined for a host that nobody has. */
  routesOf(host: string): readonly BoundRoute[] | undefined {
    return this.#hosts.get(host) ?? this.#hosts.get(hostName(host));
  }

  /** Takes over `snapshot`. Requests under way keep their backend; a backend that nothing names any more drains. */
  swap(snapshot: Snapshot): void {
    const named = new Set<string>();
    const hosts = new Map<string, readonly BoundRoute[]>();
    /** Hosts of one rule share their routes, before and after. */
    const boundByRoutes = new Map<readonly PathRoute[], readonly BoundRoute[]>();
    for (const [host, routes] of snapshot.hosts) {
      const bound = boundByRoutes.get(routes) ?? routes.map((route) => this.#bind(route, snapshot, named));
      boundByRoutes.set(routes, bound);
      hosts.set(host, bound);
    }
    for (const [key, target] of snapshot.revisions) {
      named.add(key);
      this.#backendOf(key, snapshot).update(target);
    }
    this.#hosts = hosts;
    for (const [key, backend] of this.#backends) {
      if (named.has(key)) continue;
      backend.update({ ...backend.target, endpoints: [] });
      if (backend.counters.active === 0) this.#backends.delete(key);
    }
  }

  close(): void {
    for (const backend of this.#backends.values()) backend.close();
  }

  #bind(route: PathRoute, snapshot: Snapshot, named: Set<string>): BoundRoute {
    const splits = route.splits.filter((split) => split.percent > 0);
    for (const split of splits) named.add(split.revision);
    return {
      prefix: route.prefix,
      headers: route.headers,
      rewriteHost: route.rewriteHost,
      splits: splits.map((split) => bindSplit(split, this.#backendOf(split.revision, snapshot))),
      percentSum: splits.reduce((sum, split) => sum + split.percent, 0),
    };
  }

  #backendOf(key: string, snapshot: Snapshot): Backend {
    const known = this.#backends.get(key);
    if (known !== undefined) return known;
    const [namespace = '', name = ''] = key.split('/');
    const backend = new Backend(snapshot.revisions.get(key) ?? defaultTarget(namespace, name), this.#options);
    this.#backends.set(key, backend);
    return backend;
  }
}

/** The first of `routes` that matches; `fields` are the request's other fields, complete lines. */
export function matchRoute(routes: readonly BoundRoute[], target: string, fields: string): BoundRoute | undefined {
  for (const route of routes) {
    if (route.prefix !== '/' && !target.startsWith(route.prefix)) continue;
    if (route.headers.length === 0 || hasFields(fields, route.headers)) return route;
  }
  return undefined;
}

/** One split by weight; `random` is in [0, 1). */
export function chooseSplit(route: BoundRoute, random: () => number): BoundSplit | undefined {
  const { splits } = route;
  if (splits.length === 1) return splits[0];
  let point = random() * route.percentSum;
  for (const split of splits) {
    point -= split.percent;
    if (point < 0) return split;
  }
  return splits.at(-1);
}

function bindSplit(split: Split, backend: Backend): BoundSplit {
  const entries = Object.entries(split.appendHeaders);
  const names = entries.map(([name]) => name.toLowerCase());
  return {
    percent: split.percent,
    backend,
    appendFields: entries.map(([name, value]) => `${name}: ${value}\r\n`).join(''),
    overriddenNames: new Set(names.filter((name) => !name.startsWith('knative-serving-'))),
  };
}

function hasFields(fields: string, wanted: PathRoute['headers']): boolean {
  return wanted.every(({ name, value }) => fieldValue(fields, name) === value);
}

function hostName(host: string): string {
  const end = host.startsWith('[') ? host.indexOf(']') + 1 : host.indexOf(':');
  return (end <= 0 ? host : host.slice(0, end)).toLowerCase();
}
