import type { Configuration, Kind, KindReference } from '../api/kind.ts';
import { inNamespaceOf, type Key, type KubeObject, keyOf } from '../api/meta.ts';
import type { UserInfo } from '../api/user.ts';
import type { Clock } from '../lib/clock.ts';
import type { Quarantine } from '../lib/quarantine.ts';
import type { Logger } from '../observe/log.ts';
import type { Client } from './client.ts';
import type { ChangeHandler } from './informer.ts';
import { keyFor } from './kinds.ts';

/**
 * Brings the world towards what `object` says. The runner calls it with a key's newest object, never twice at once for
 * one key, after every change of the object or of what `watches` maps to it. It reads everything else again. Throwing
 * retries with backoff; throwing TerminalError does not. Objects are shared with the cache: copy before changing.
 */
export type Reconcile<T extends KubeObject> = (object: T, context: ReconcileContext) => Promise<Requeue | void>;

/** Asks to be called again after this long even if nothing changes. */
export interface Requeue {
  requeueAfterMs: number;
}

/** What a controller has. */
export interface ControllerContext {
  client: Client;
  /** The kind being reconciled: the controller's own. */
  kind: Kind;
  /** Reads from the runner's caches: only kinds that some controller reconciles or watches. Throws NotHereYet. */
  cache: Cache;
  /** What kinds are configured with, at this moment. */
  config: () => Configuration;
  clock: Clock;
  log: Logger;
  /** Aborts when the runner stops. */
  signal: AbortSignal;
  /** Calls for a reconcile of this object of the controller's kind: what it waited for, outside the API, has come. */
  again(key: Key): void;
  /** For work that goes on beside the reconciles, under a name of its own. */
  quarantine: Quarantine;
  /** Tells of every object of a kind as ADDED, and of each change, until the returned function is called. */
  follow<T extends KubeObject>(kind: Kind<T>, handler: ChangeHandler<T>): () => void;
}

/** What a reconcile has. */
export interface ReconcileContext extends ControllerContext {
  /**
   * An object of any kind, from a cache where there is one; undefined when there is none, or no such kind. Of an object
   * of a kind without namespaces the key's is not regarded. This object
   * is reconciled again when that one changes, appears or goes, until a reconcile comes to its end without looking.
   */
  look<T extends KubeObject>(kind: Kind<T> | KindReference, key: Key): Promise<T | undefined>;
}

/** What is known locally of the watched kinds; may be a moment behind, never wrong about order within a kind. */
export interface Cache {
  get<T extends KubeObject>(kind: Kind<T>, key: Key): T | undefined;
  /** Whether the kind is here, with all that there is; reading one that nobody watches is a programmer's error. */
  has(kind: Kind): boolean;
  list<T extends KubeObject>(kind: Kind<T>, options?: { namespace?: string; labels?: Record<string, string> }): T[];
  /** The objects whose controller owner is `owner`. */
  ownedBy<T extends KubeObject>(kind: Kind<T>, owner: KubeObject): T[];
}

export interface Controller<T extends KubeObject = KubeObject> {
  /** For logs and metrics, for example `revision`. */
  name: string;
  kind: Kind<T>;
  /** As whom it acts; as the runner's client does unless given. What is watched is shared, and is the runner's. */
  user?: UserInfo;
  /** A `Reconcile<T>`; written as a method so that controllers of different kinds fit into one list. */
  reconcile(object: T, context: ReconcileContext): ReturnType<Reconcile<T>>;
  /** Called once, when its own kinds are here, before anything is reconciled. */
  start?(context: ControllerContext): void;
  /** Other kinds whose changes call for a reconcile. */
  watches?: readonly Watch[];
  /** The object is gone from the API: forget what is kept in memory for it. */
  onGone?(key: Key): void;
  /** How many keys at once; 8 unless given. */
  concurrency?: number;
}

export interface Watch {
  kind: Kind;
  /** The keys of the controller's own kind that `object` concerns. */
  keys(object: KubeObject, cache: Cache): Key[];
}

/** Retrying cannot help: the condition says why, and only a change of the object calls again. */
export class TerminalError extends Error {
  override readonly name = 'TerminalError';
}

/** A watch of what the controller's objects own: changes of a dependent call for its controller owner. */
export function owned(kind: Kind, owner: Pick<Kind, 'kind' | 'isNamespaced'>): Watch {
  return {
    kind,
    keys(object) {
      const reference = object.metadata.ownerReferences?.find((r) => r.controller && r.kind === owner.kind);
      if (!reference) return [];
      return [keyFor(owner, { ...keyOf(object), name: reference.name })];
    },
  };
}

/**
 * As `owned`; and an object that none of the owners it is meant for controls concerns all that want its name: when it
 * is gone, or given up by whoever had it, the name is free.
 */
export function ownedByName<T extends KubeObject>(
  kind: Kind,
  owner: Kind<T>,
  namesWanted: (owner: T) => readonly string[],
): Watch {
  const ofController = owned(kind, owner).keys;
  return {
    kind,
    keys(object, cache) {
      const { name } = object.metadata;
      const wants = (candidate: T | undefined) => candidate !== undefined && namesWanted(candidate).includes(name);
      const owners = ofController(object, cache);
      if (owners.some((key) => wants(cache.get(owner, key)))) return owners;
      const candidates = cache.list(owner, inNamespaceOf(object));
      return [...owners, ...candidates.filter(wants).map(keyOf)];
    },
  };
}
