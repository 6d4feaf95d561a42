/**
 * What the gateway knows of the world, as plain immutable data: each change of Ingress, Service, EndpointSlice or
 * Revision objects (table.ts) becomes the routes and targets that it concerns, and nothing else (router.ts).
 */
export interface RouteChange {
  /**
   * By host, lower case, without port; undefined for one that nobody has any more. Each list is in the order of
   * matching: the first match wins.
   */
  hosts: ReadonlyMap<string, readonly PathRoute[] | undefined>;
  /** By `namespace/name:port`; undefined for one that no route names any more. */
  targets: ReadonlyMap<string, Target | undefined>;
  /** How many parts of objects are left out of the routes by now, because they are wrong. */
  problems?: number;
}

export interface Problem {
  /** For example `Ingress default/a`. */
  object: string;
  why: string;
}

export interface PathRoute {
  /** The path must start with this; '/' for every path. */
  prefix: string;
  /** Fields that the request must have with exactly these values; names are lower case. */
  headers: readonly { name: string; value: string }[];
  /** Sent as Host instead of the client's. */
  rewriteHost?: string;
  /** For clients inside the cluster alone: to others there is no such host. */
  isClusterLocal?: boolean;
  splits: readonly Split[];
}

export interface Split {
  /** Percents of one route sum to 100. */
  percent: number;
  /** `namespace/name:port` of a Service. */
  target: string;
  /** Header fields added to the request; what else would be sent under the same name is dropped. */
  appendHeaders: Readonly<Record<string, string>>;
}

/** A port of a Service: the addresses that are ready for requests, and what bounds a request to them. */
export interface Target extends Limits {
  namespace: string;
  /** The Service's. */
  name: string;
  /** The revision whose Service it is, which can be woken; undefined for a Service of anybody else. */
  revision: string | undefined;
  endpoints: readonly EndpointAddress[];
}

export interface Limits {
  /** Requests at once for each endpoint; 0 is unlimited. */
  containerConcurrency: number;
  /** From arrival to the reply's beginning, queueing included. */
  timeoutMs: number;
  /** From arrival to the first byte of any reply, 1xx included; 0 when only `timeoutMs` bounds it. */
  responseStartTimeoutMs: number;
  /** Without a byte from the endpoint; 0 is unlimited. */
  idleTimeoutMs: number;
}

export interface EndpointAddress {
  /** An IP address, or the name that an ExternalName Service stands for. */
  host: string;
  port: number;
  /** What is spoken there, by its name in protocols.ts; `http1` unless given. */
  protocol?: string;
}

/** Where routes come from: informers in production, a list in tests. */
export interface RouteSource {
  /** Calls `onChange` with all that there is, and with what changes after it. Resolves once all is told. */
  start(onChange: (change: RouteChange) => void): Promise<void>;
  stop(): Promise<void> | void;
}

/** Knative's config-defaults: of every Service that is no revision's. */
export const defaultRequestLimits: Limits = {
  containerConcurrency: 0,
  timeoutMs: 300_000,
  responseStartTimeoutMs: 0,
  idleTimeoutMs: 0,
};

/** What is named by a route, but not yet known: its requests wait. `key` is `namespace/name:port`. */
export function unknownTarget(key: string): Target {
  const [namespace = '', rest = ''] = key.split('/');
  return {
    ...defaultRequestLimits,
    namespace,
    name: rest.slice(0, rest.indexOf(':')),
    revision: undefined,
    endpoints: [],
  };
}
