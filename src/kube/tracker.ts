import { apiVersionOf, type Kind, type KindReference } from '../api/kind.ts';
import { type Key, type KubeObject, keyText } from '../api/meta.ts';
import type { Client } from './client.ts';
import type { Held, Informers } from './informers.ts';
import { getIfServed, isKind, keyFor } from './kinds.ts';

/** More kinds than this are not watched for the sake of a controller's looks: anybody may refer to what is no kind. */
const kindsMax = 64;
/** How soon a reconcile is called again that looked at what cannot be watched. */
const unwatchedMs = 2_000;

/** Which version of an object somebody has seen; `pending` while it is being asked for. */
type Seen = string | 'none' | 'pending';

/** An object that was looked at, there or not. */
interface Target {
  id: string;
  key: Key;
  source: Source;
  /** By who looked. */
  seen: Map<string, Seen>;
}

/** Where changes of targets come from: a kind, or a kind in one namespace. */
interface Source {
  id: string;
  kind: string;
  /** Absent when there are too many kinds: then nobody is told. */
  held: Held<KubeObject> | undefined;
  /** By the key's text. */
  targets: Map<string, Target>;
  stopListening(): void;
}

/** What one reconcile looks at. */
export interface Round {
  look<T extends KubeObject>(kind: Kind<T> | KindReference, key: Key): Promise<T | undefined>;
  /** After how many milliseconds to look again by oneself, where nobody would say that something has changed. */
  unwatchedMs(): number | undefined;
  /** What was looked at in earlier rounds, and not in this one, is let go if this one came to its end (`isWhole`). */
  end(isWhole: boolean): void;
}

/**
 * Calls for the reconciles of one controller when any object that they looked at has changed, has appeared or is gone
 * (Knative's tracker). Informers come with the first look at a kind in a namespace, and go with the last.
 *
 *   look ──▶ target ──▶ source: an informer of its kind, the controllers' own if there is one
 *              │  who saw which version
 *   change ────┴──▶ whoever saw another version is called
 */
export class Tracker {
  readonly #client: Client;
  readonly #informers: Informers;
  readonly #call: (who: string) => void;
  readonly #sources = new Map<string, Source>();
  /** How many sources each kind has that is watched. */
  readonly #kinds = new Map<string, number>();
  readonly #targets = new Map<string, Target>();
  readonly #lookedAt = new Map<string, Set<Target>>();

  constructor(client: Client, informers: Informers, call: (who: string) => void) {
    this.#client = client;
    this.#informers = informers;
    this.#call = call;
  }

  begin(who: string): Round {
    const inRound = new Set<Target>();
    let isKindMissing = false;
    return {
      look: async <T extends KubeObject>(reference: Kind<T> | KindReference, key: Key) => {
        const kind = isKind(reference as KindReference) ? (reference as Kind) : await this.#client.kindOf(reference);
        isKindMissing ||= kind === undefined;
        if (!kind) return undefined;
        const target = this.#targetOf(kind, keyFor(kind, key));
        inRound.add(target);
        return (await this.#look(who, target, kind)) as T | undefined;
      },
      unwatchedMs: () =>
        isKindMissing || [...inRound].some(({ source }) => isUnwatched(source)) ? unwatchedMs : undefined,
      end: (isWhole) => {
        if (!isWhole) return;
        for (const target of this.#lookedAt.get(who) ?? []) if (!inRound.has(target)) this.#letGo(who, target);
      },
    };
  }

  /** `who` is gone, and looks at nothing any more. */
  forget(who: string): void {
    for (const target of this.#lookedAt.get(who) ?? []) this.#letGo(who, target);
  }

  async #look(who: string, target: Target, kind: Kind): Promise<KubeObject | undefined> {
    const { key, seen, source } = target;
    const mine = this.#lookedAt.get(who) ?? new Set();
    this.#lookedAt.set(who, mine.add(target));
    const informer = source.held?.informer;
    if (informer?.isSynced) {
      const object = informer.get(key);
      seen.set(who, versionOf(object));
      return object;
    }
    seen.set(who, 'pending');
    let object: KubeObject | undefined;
    try {
      object = await getIfServed(this.#client, kind, key);
      return object;
    } finally {
      const version = versionOf(object);
      seen.set(who, version);
      // What came in between was told to nobody.
      if (informer?.isSynced && versionOf(informer.get(key)) !== version) this.#call(who);
    }
  }

  #targetOf(kind: Kind, key: Key): Target {
    const id = `${apiVersionOf(kind)}/${kind.kind} ${keyText(key)}`;
    const found = this.#targets.get(id);
    if (found) return found;
    const source = this.#sourceOf(kind, key.namespace);
    const target: Target = { id, key, source, seen: new Map() };
    source.targets.set(keyText(key), target);
    this.#targets.set(id, target);
    return target;
  }

  #sourceOf(kind: Kind, namespace: string | undefined): Source {
    const name = `${apiVersionOf(kind)}/${kind.kind}`;
    const id = `${name} ${namespace ?? ''}`;
    const found = this.#sources.get(id);
    if (found) return found;
    const held = this.#hasRoomFor(name) ? this.#informers.hold(kind, namespace) : undefined;
    const source: Source = { id, kind: name, held, targets: new Map(), stopListening() {} };
    this.#sources.set(id, source);
    if (!held) return source;
    this.#kinds.set(name, (this.#kinds.get(name) ?? 0) + 1);
    const { informer } = held;
    source.stopListening = informer.onChange((type, object) => {
      const target = source.targets.get(keyText(object.metadata));
      if (target && informer.isSynced) this.#tell(target, type === 'DELETED' ? undefined : object);
    });
    if (informer.isSynced) return source;
    // Never rejects.
    void informer.synced.then(() => {
      for (const target of source.targets.values()) this.#tell(target, informer.get(target.key));
    });
    // Who looked has not been told to come back by itself. Never rejects.
    void informer.settled.then(() => {
      if (!isUnwatched(source)) return;
      for (const { seen } of source.targets.values()) for (const who of seen.keys()) this.#call(who);
    });
    return source;
  }

  #hasRoomFor(kind: string): boolean {
    return this.#kinds.has(kind) || this.#kinds.size < kindsMax;
  }

  #tell({ seen }: Target, object: KubeObject | undefined): void {
    const version = versionOf(object);
    for (const [who, saw] of seen) if (saw !== version && saw !== 'pending') this.#call(who);
  }

  #letGo(who: string, target: Target): void {
    const { id, key, seen, source } = target;
    const mine = this.#lookedAt.get(who);
    mine?.delete(target);
    if (mine?.size === 0) this.#lookedAt.delete(who);
    seen.delete(who);
    if (seen.size > 0) return;
    this.#targets.delete(id);
    source.targets.delete(keyText(key));
    if (source.targets.size > 0) return;
    this.#sources.delete(source.id);
    source.stopListening();
    if (!source.held) return;
    source.held.release();
    const others = (this.#kinds.get(source.kind) ?? 1) - 1;
    if (others > 0) this.#kinds.set(source.kind, others);
    else this.#kinds.delete(source.kind);
  }
}

/** Whether changes are told to nobody: there is no informer, or it has failed and tries on. */
const isUnwatched = ({ held }: Source) => !held || (held.informer.isSettled && !held.informer.isSynced);

const versionOf = (object: KubeObject | undefined): Seen => object?.metadata.resourceVersion ?? 'none';
