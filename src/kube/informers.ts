import { apiVersionOf, type Kind } from '../api/kind.ts';
import type { KubeObject } from '../api/meta.ts';
import { assert } from '../lib/errors.ts';
import type { Client } from './client.ts';
import { Informer, type InformerOptions } from './informer.ts';
import type { Cache } from './reconciler.ts';

/** A kind is read whose informer has no first copy yet: the reconcile is called again once it has. */
export class NotHereYet extends Error {
  readonly informer: Informer<KubeObject>;

  constructor(informer: Informer<KubeObject>) {
    super(`${informer.kind.kind} objects are not known yet`);
    this.informer = informer;
  }
}

/** An informer that somebody needs for a while. */
export interface Held<T extends KubeObject> {
  informer: Informer<T>;
  /** The last who lets it go stops it, unless it is a controller's. */
  release(): void;
}

interface Passing {
  informer: Informer<KubeObject>;
  holders: number;
}

/** A kind that is held in more namespaces than this is watched in all of them at once. */
const namespacesMax = 16;
/** No namespace has this name. */
const all = '*';

/**
 * The informers of one process, shared by all who need the same.
 *
 *   of(kind)                    a controller's: all namespaces, for as long as the process runs
 *   hold(kind[, namespace])     somebody's: the controller's, when there is one; otherwise there while it is held,
 *                               in that namespace, or in all when they are many
 */
export class Informers {
  readonly #client: Client;
  readonly #options: InformerOptions;
  readonly #lasting = new Map<string, Informer<KubeObject>>();
  /** By kind, then by namespace or `all`. */
  readonly #passing = new Map<string, Map<string, Passing>>();
  #isStopped = false;

  constructor(client: Client, options: InformerOptions) {
    this.#client = client;
    this.#options = options;
  }

  /** To be called before `start`. */
  of<T extends KubeObject>(kind: Kind<T>): Informer<T> {
    const id = idOf(kind as Kind);
    const informer = this.#lasting.get(id) ?? new Informer<KubeObject>(this.#client, kind as Kind, this.#options);
    this.#lasting.set(id, informer);
    return ofKind(informer, kind);
  }

  hold<T extends KubeObject>(kind: Kind<T>, namespace?: string): Held<T> {
    const id = idOf(kind as Kind);
    const lasting = this.#lasting.get(id);
    if (lasting) return { informer: ofKind(lasting, kind), release() {} };
    const others = this.#passing.get(id) ?? new Map<string, Passing>();
    this.#passing.set(id, others);
    const isForAll = namespace === undefined || others.has(all) || others.size >= namespacesMax;
    const name = isForAll && !(namespace !== undefined && others.has(namespace)) ? all : namespace;
    const passing = others.get(name) ?? this.#begin(kind as Kind, name);
    others.set(name, passing);
    passing.holders++;
    let isHeld = true;
    const release = () => {
      if (isHeld && --passing.holders === 0) {
        others.delete(name);
        if (others.size === 0) this.#passing.delete(id);
        void passing.informer.stop(); // Never rejects.
      }
      isHeld = false;
    };
    return { informer: ofKind(passing.informer, kind), release };
  }

  /** Resolves when each has its first copy, or has failed to get one: those try on. */
  async start(): Promise<void> {
    for (const informer of this.#lasting.values()) informer.start();
    await Promise.all([...this.#lasting.values()].map((informer) => informer.settled));
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    const passing = [...this.#passing.values()].flatMap((ofKind) => [...ofKind.values()]);
    const every = [...this.#lasting.values(), ...passing.map(({ informer }) => informer)];
    await Promise.all(every.map((informer) => informer.stop()));
  }

  /** What reconciles read: a kind is here as a whole, or reading it throws NotHereYet. */
  readonly cache: Cache = cacheOver(
    (kind) => {
      const informer = this.#known(kind);
      if (!informer.isSynced) throw new NotHereYet(informer);
      return informer;
    },
    (kind) => this.#lasting.get(idOf(kind))?.isSynced === true,
  );

  /** What has come so far, for finding out whom a change concerns: who is not here yet will be reconciled anyway. */
  readonly partial: Cache = cacheOver(
    (kind) => this.#known(kind),
    (kind) => this.#lasting.has(idOf(kind)),
  );

  #begin(kind: Kind, namespace: string): Passing {
    const options = namespace === all ? this.#options : { ...this.#options, namespace };
    const informer = new Informer<KubeObject>(this.#client, kind, options);
    if (!this.#isStopped) informer.start();
    return { informer, holders: 0 };
  }

  #known(kind: Kind): Informer<KubeObject> {
    const informer = this.#lasting.get(idOf(kind));
    assert(informer !== undefined, `${kind.kind} is not in the cache: no controller reconciles or watches it`);
    return informer;
  }
}

function cacheOver(informerOf: (kind: Kind) => Informer<KubeObject>, has: (kind: Kind) => boolean): Cache {
  const known = <T extends KubeObject>(kind: Kind<T>) => ofKind(informerOf(kind as Kind), kind);
  return {
    has,
    get: (kind, key) => known(kind).get(key),
    list: (kind, options) => known(kind).list(options),
    ownedBy(kind, owner) {
      const { uid } = owner.metadata;
      if (uid === undefined) return [];
      return known(kind)
        .ownedBy(uid)
        .filter((object) => object.metadata.ownerReferences?.some((r) => r.controller && r.uid === uid));
    },
  };
}

/** The maps are keyed by the kind, so what is found under it holds objects of that kind. */
const ofKind = <T extends KubeObject>(informer: Informer<KubeObject>, _kind: Kind<T>) =>
  informer as unknown as Informer<T>;

const idOf = (kind: Kind) => `${apiVersionOf(kind)}/${kind.kind}`;
