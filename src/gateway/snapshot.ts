/**
 * What the gateway knows of the world, as plain immutable data: built whole from Ingress, EndpointSlice and Revision
 * objects (build-snapshot.ts), swapped whole (router.ts).
 */
export interface Snapshot {
  /** By host, lower case, without port. Each list is in the order of matching: the first match wins. */
  hosts: ReadonlyMap<string, readonly PathRoute[]>;
  /** By `namespace/name`. */
  revisions: ReadonlyMap<string, RevisionTarget>;
  /** What was left out of it, and why. */
  problems?: readonly Problem[];
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
  splits: readonly Split[];
}

export interface Split {
  /** Percents of one route sum to 100. */
  percent: number;
  /** `namespace/name` of the revision. */
  revision: string;
  /** Header fields added to the request; one that the client sent under the same name is dropped. */
  appendHeaders: Readonly<Record<string, string>>;
}

/** One revision's limits (Revision.spec) and the addresses that are ready for requests. */
export interface RevisionTarget {
  namespace: string;
  name: string;
  /** Requests at once for each endpoint; 0 is unlimited. */
  containerConcurrency: number;
  /** From arrival to the reply's beginning, queueing included. */
  timeoutMs: number;
  /** From arrival to the first byte of any reply, 1xx included; 0 when only `timeoutMs` bounds it. */
  responseStartTimeoutMs: number;
  /** Without a byte from the revision; 0 is unlimited. */
  idleTimeoutMs: number;
  endpoints: readonly EndpointAddress[];
}

export interface EndpointAddress {
  /** An IP address. */
  host: string;
  port: number;
  /** What is spoken there, by its name in protocols.ts; `http1` unless given. */
  protocol?: string;
}

/** Where snapshots come from: informers in production, a list in tests. */
export interface SnapshotSource {
  /** Calls `onSnapshot` with the first snapshot and after every change. Resolves with the first. */
  start(onSnapshot: (snapshot: Snapshot) => void): Promise<void>;
  stop(): Promise<void> | void;
}

/** The limits of a revision that is routed to but not yet known: Knative's config-defaults. */
export function defaultTarget(namespace: string, name: string): RevisionTarget {
  return {
    namespace,
    name,
    containerConcurrency: 0,
    timeoutMs: 300_000,
    responseStartTimeoutMs: 0,
    idleTimeoutMs: 0,
    endpoints: [],
  };
}
