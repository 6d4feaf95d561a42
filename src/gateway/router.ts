import { Backend, type BackendOptions } from './backend.ts';
import { fieldValue } from './http1/fields.ts';
import { type PathRoute, type RouteChange, type Split, unknownTarget } from './routes/change.ts';
import type { ExchangeRequest } from './sides.ts';

/** A route with its backends looked up and its header fields spelt out, so that a request only follows pointers. */
export interface BoundRoute {
  prefix: string;
  headers: PathRoute['headers'];
  rewriteHost: string | undefined;
  isClusterLocal: boolean;
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

/**
 * Finds the backend for a request. Reading never waits; a change touches the hosts and backends that it names only,
 * and whole: a request sees the routes of a host from before it or from after it.
 */
export class Router {
  readonly #options: BackendOptions;
  readonly #backends = new Map<string, Backend>();
  /** No route names them any more: they go when their last request has ended. */
  readonly #leaving = new Map<string, Backend>();
  readonly #hosts = new Map<string, readonly BoundRoute[]>();

  constructor(options: BackendOptions) {
    this.#options = options;
  }

  /** Also those that finish their last requests. */
  *backends(): Generator<Backend> {
    yield* this.#backends.values();
    yield* this.#leaving.values();
  }

  /** The routes of a Host header's value, whatever its case and port; undefined for a host that nobody has. */
  routesOf(host: string): readonly BoundRoute[] | undefined {
    return this.#hosts.get(host) ?? this.#hosts.get(hostName(host));
  }

  /** Takes over `change`. Requests that run keep their backend; one that nothing names any more drains. */
  apply(change: RouteChange): void {
    for (const [key, target] of change.targets) if (target !== undefined) this.#backendOf(key).update(target);
    /** Hosts of one rule share their routes, before and after. */
    const boundByRoutes = new Map<readonly PathRoute[], readonly BoundRoute[]>();
    for (const [host, routes] of change.hosts) {
      if (routes === undefined) {
        this.#hosts.delete(host);
        continue;
      }
      const bound = boundByRoutes.get(routes) ?? routes.map((route) => this.#bind(route));
      boundByRoutes.set(routes, bound);
      this.#hosts.set(host, bound);
    }
    for (const [key, target] of change.targets) if (target === undefined) this.#leave(key);
    for (const [key, { counters }] of this.#leaving) if (counters.active === 0) this.#leaving.delete(key);
  }

  close(): void {
    for (const backend of this.backends()) backend.close();
  }

  #bind(route: PathRoute): BoundRoute {
    const splits = route.splits.filter((split) => split.percent > 0);
    return {
      prefix: route.prefix,
      headers: route.headers,
      rewriteHost: route.rewriteHost,
      isClusterLocal: route.isClusterLocal === true,
      splits: splits.map((split) => bindSplit(split, this.#backendOf(split.target))),
      percentSum: splits.reduce((sum, split) => sum + split.percent, 0),
    };
  }

  #backendOf(key: string): Backend {
    const known = this.#backends.get(key) ?? this.#leaving.get(key);
    const backend = known ?? new Backend(unknownTarget(key), this.#options);
    this.#leaving.delete(key);
    this.#backends.set(key, backend);
    return backend;
  }

  #leave(key: string): void {
    const backend = this.#backends.get(key);
    if (backend === undefined) return;
    this.#backends.delete(key);
    this.#leaving.set(key, backend);
    backend.leave();
  }
}

/** The first of `routes` that matches. */
export function matchRoute(routes: readonly BoundRoute[], request: ExchangeRequest): BoundRoute | undefined {
  for (const route of routes) {
    if (route.prefix !== '/' && !request.target.startsWith(route.prefix)) continue;
    if (route.headers.length === 0 || hasFields(request, route.headers)) return route;
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
    overriddenNames: new Set(names.filter((name) => !isKeptFromClients(name))),
  };
}

const isKeptFromClients = (name: string): boolean =>
  name.startsWith('knative-serving-') && name !== 'knative-serving-tag';

/** What a request has beside its `fields`, by the name of the field that said it; '' where none did. */
const setApart: ReadonlyMap<string, (request: ExchangeRequest) => string> = new Map([
  ['host', ({ host }) => host],
  ['upgrade', ({ upgrade }) => upgrade],
  ['forwarded', ({ forwarded }) => forwarded],
  ['x-forwarded-for', ({ forwardedFor }) => forwardedFor],
  ['x-forwarded-proto', ({ forwardedProto }) => forwardedProto],
  ['x-forwarded-host', ({ forwardedHost }) => forwardedHost],
  ['traceparent', ({ traceparent }) => traceparent],
  ['x-request-id', ({ requestId }) => requestId],
]);

function hasFields(request: ExchangeRequest, wanted: PathRoute['headers']): boolean {
  return wanted.every(({ name, value }) => {
    const own = setApart.get(name);
    return own === undefined ? fieldValue(request.fields, name) === value : value !== '' && own(request) === value;
  });
}

function hostName(host: string): string {
  const end = host.startsWith('[') ? host.indexOf(']') + 1 : host.indexOf(':');
  return (end <= 0 ? host : host.slice(0, end)).toLowerCase();
}
