import type { Kind } from '../api/kind.ts';
import { type Key, type KubeObject, keyOf, keyText } from '../api/meta.ts';
import { ApiError } from '../api/status.ts';
import { type BackoffPolicy, jitteredBackoffDelayMs } from '../lib/backoff.ts';
import { type Clock, sleep } from '../lib/clock.ts';
import { messageOf } from '../lib/errors.ts';
import type { Logger } from '../observe/log.ts';
import type { Metrics } from '../observe/metrics.ts';
import type { Client, WatchEvent, WatchOptions } from './client.ts';

export type ChangeType = 'ADDED' | 'MODIFIED' | 'DELETED';
export type ChangeHandler<T> = (type: ChangeType, object: T, old: T | undefined) => void;

export interface InformerOptions {
  /** Absent: all namespaces. */
  namespace?: string;
  labelSelector?: string;
  fieldSelector?: string;
  clock: Clock;
  log: Logger;
  /** Counts what handlers and objects fail at. */
  metrics?: Metrics | undefined;
}

/** Between watches that fail: a server that restarts is back in a second, one that is gone is not hammered. */
const watchBackoff: BackoffPolicy = { firstMs: 50, maxMs: 5_000, factor: 2 };
/** A kind that is not served, or not for us, may come: nobody is in a hurry. */
const refusedBackoff: BackoffPolicy = { ...watchBackoff, maxMs: 30_000 };
/** A watch that ends this soon is not asked for again at once each time, whatever it said. */
const shortWatchMs = 1_000;

/**
 * A local copy of the objects of one kind, kept up to date by a watch (client-go's reflector): it resumes from the last
 * version seen, and starts over when that is too old. A change is in the copy before its handlers run; what one
 * handler or one object fails at is logged and counted, and nothing to the others.
 */
export class Informer<T extends KubeObject> {
  readonly kind: Kind<T>;
  /** Resolves once everything that existed at the start is here (or on `stop`). */
  readonly synced: Promise<void>;
  /** Resolves with `synced`, or when the first watch has failed: others follow. */
  readonly settled: Promise<void>;
  readonly #client: Pick<Client, 'watch'>;
  readonly #options: InformerOptions;
  readonly #objects = new Map<string, T>();
  readonly #byNamespace = new Map<string, Map<string, T>>();
  readonly #byOwner = new Map<string, Map<string, T>>();
  readonly #handlers = new Set<ChangeHandler<T>>();
  readonly #abort = new AbortController();
  readonly #failed: (what: 'handler' | 'object') => void;
  #running: Promise<void> | undefined;
  #resourceVersion: string | undefined;
  /** While everything is being read anew: the keys seen so far. */
  #seen: Set<string> | undefined;
  #isSynced = false;
  #isSettled = false;
  readonly #markSynced: () => void;
  readonly #markSettled: () => void;

  constructor(client: Pick<Client, 'watch'>, kind: Kind<T>, options: InformerOptions) {
    this.kind = kind;
    this.#client = client;
    this.#options = options;
    const failures = options.metrics?.counter(
      'kittiwake_informer_failures_total',
      'Changes that a handler failed at, and objects from the API that could not be taken in.',
      ['kind', 'what'],
    );
    this.#failed = (what) => failures?.inc({ kind: kind.kind, what });
    const [synced, settled] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    this.synced = synced.promise;
    this.settled = settled.promise;
    this.#markSynced = synced.resolve;
    this.#markSettled = () => {
      this.#isSettled = true;
      settled.resolve();
    };
  }

  start(): void {
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    this.#markSynced();
    this.#markSettled();
    await this.#running;
  }

  /** Whether everything is here. */
  get isSynced(): boolean {
    return this.#isSynced;
  }

  /** Whether it is known if everything can be here. */
  get isSettled(): boolean {
    return this.#isSettled;
  }

  /** All changes up to this version are here and were told; undefined while everything is read. */
  get resourceVersion(): string | undefined {
    return this.#resourceVersion;
  }

  get(key: Key): T | undefined {
    return this.#objects.get(keyText(key));
  }

  list(options: { namespace?: string; labels?: Record<string, string> } = {}): T[] {
    const { namespace, labels } = options;
    const all = namespace === undefined ? this.#objects : this.#byNamespace.get(namespace);
    if (!all) return [];
    const wanted = Object.entries(labels ?? {});
    if (wanted.length === 0) return [...all.values()];
    return [...all.values()].filter((o) => wanted.every(([key, value]) => o.metadata.labels?.[key] === value));
  }

  /** The objects that name `uid` among their owners. */
  ownedBy(uid: string): T[] {
    return [...(this.#byOwner.get(uid)?.values() ?? [])];
  }

  /**
   * Calls `handler` after each change from now on; what is here already is not told again. The returned function ends
   * that.
   */
  onChange(handler: ChangeHandler<T>): () => void {
    this.#handlers.add(handler);
    return () => {
      this.#handlers.delete(handler);
    };
  }

  /** As `onChange`, but what is here already is told as ADDED first. */
  follow(handler: ChangeHandler<T>): () => void {
    for (const object of this.#objects.values()) this.#tellOne(handler, 'ADDED', object, undefined);
    return this.onChange(handler);
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#options;
    const { signal } = this.#abort;
    for (let failures = 0; !signal.aborted; ) {
      const startedMs = clock.monotonic();
      let isRefusal = false;
      try {
        await this.#watchOnce();
        log.debug({ kind: this.kind.kind }, 'the server ended the watch: asking again');
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof ApiError && error.code === 410 && this.#resourceVersion !== undefined) {
          this.#resourceVersion = undefined;
          log.debug({ kind: this.kind.kind, reason: error.message }, 'the version is too old: reading all anew');
        } else {
          const level = isRefused(error) && this.#isSettled ? 'debug' : 'warn';
          log[level]({ kind: this.kind.kind, reason: messageOf(error) }, 'watch failed: trying again');
          isRefusal = isRefused(error);
        }
      }
      this.#markSettled();
      if (clock.monotonic() - startedMs >= shortWatchMs) failures = 0;
      // The first time at once: a server that restarts, or forgot the version, is usual.
      const delayMs =
        failures === 0
          ? 0
          : jitteredBackoffDelayMs(isRefusal ? refusedBackoff : watchBackoff, failures - 1, Math.random());
      failures++;
      // Rejects only when stopped, which the loop's condition sees.
      await sleep(clock, delayMs, signal).catch(() => {});
    }
  }

  /** Follows one watch to its end. */
  async #watchOnce(): Promise<void> {
    const { namespace, labelSelector, fieldSelector } = this.#options;
    const options: WatchOptions = { signal: this.#abort.signal };
    if (namespace !== undefined) options.namespace = namespace;
    if (labelSelector !== undefined) options.labelSelector = labelSelector;
    if (fieldSelector !== undefined) options.fieldSelector = fieldSelector;
    if (this.#resourceVersion !== undefined) options.resourceVersion = this.#resourceVersion;
    this.#seen = this.#resourceVersion === undefined ? new Set() : undefined;
    for await (const event of this.#client.watch(this.kind, options)) {
      if (this.#abort.signal.aborted) return;
      try {
        this.#take(event);
      } catch (error) {
        this.#failed('object');
        const fields = { kind: this.kind.kind, key: nameOf(event), reason: messageOf(error) };
        this.#options.log.error(fields, 'an object from the server could not be taken in: it is left out');
      }
    }
  }

  #take(event: WatchEvent<T>): void {
    if (event.type === 'BOOKMARK') {
      if (event.isInitialEnd) this.#endInitial();
      this.#advance(event.resourceVersion);
      return;
    }
    const { name, resourceVersion } = event.object.metadata;
    this.#advance(resourceVersion);
    if (typeof name !== 'string') throw new TypeError('it has no name');
    if (event.type === 'DELETED') this.#remove(event.object);
    else this.#store(event.object);
  }

  /** The initial list comes in no order of versions: only after its end can a version be resumed from. */
  #advance(resourceVersion: string | undefined): void {
    if (this.#seen === undefined && resourceVersion) this.#resourceVersion = resourceVersion;
  }

  #endInitial(): void {
    const seen = this.#seen;
    this.#seen = undefined;
    if (seen) for (const [key, object] of this.#objects) if (!seen.has(key)) this.#remove(object);
    this.#isSynced = true;
    this.#markSynced();
    this.#markSettled();
  }

  #store(object: T): void {
    const key = keyText(keyOf(object));
    const old = this.#objects.get(key);
    this.#seen?.add(key);
    if (old && old.metadata.resourceVersion === object.metadata.resourceVersion) return;
    if (old && old.metadata.uid !== object.metadata.uid) this.#remove(old);
    if (old) this.#unindex(key, old);
    this.#objects.set(key, object);
    this.#index(key, object);
    const isSame = old !== undefined && old.metadata.uid === object.metadata.uid;
    this.#tell(isSame ? 'MODIFIED' : 'ADDED', object, isSame ? old : undefined);
  }

  #remove(object: T): void {
    const key = keyText(keyOf(object));
    const old = this.#objects.get(key);
    if (!old) return;
    this.#objects.delete(key);
    this.#unindex(key, old);
    this.#tell('DELETED', object, old);
  }

  #index(key: string, object: T): void {
    addTo(this.#byNamespace, object.metadata.namespace ?? '', key, object);
    for (const { uid } of ownersOf(object)) addTo(this.#byOwner, uid, key, object);
  }

  #unindex(key: string, object: T): void {
    removeFrom(this.#byNamespace, object.metadata.namespace ?? '', key);
    for (const { uid } of ownersOf(object)) removeFrom(this.#byOwner, uid, key);
  }

  #tell(type: ChangeType, object: T, old: T | undefined): void {
    for (const handler of this.#handlers) this.#tellOne(handler, type, object, old);
  }

  #tellOne(handler: ChangeHandler<T>, type: ChangeType, object: T, old: T | undefined): void {
    try {
      handler(type, object, old);
    } catch (error) {
      this.#failed('handler');
      const fields = { kind: this.kind.kind, key: keyText(keyOf(object)), type, err: error };
      this.#options.log.error(fields, 'a handler of a change failed: the others are told of it');
    }
  }
}

/** The server does not have the kind, or not for us. */
const isRefused = (error: unknown) => error instanceof ApiError && (error.code === 404 || error.code === 403);

/** What an event that could not be taken in is about, as far as it says so: it may lack anything. */
function nameOf(event: WatchEvent<KubeObject>): string | undefined {
  const object: Partial<KubeObject> | null | undefined = event.type === 'BOOKMARK' ? undefined : event.object;
  return object?.metadata && keyText(object.metadata);
}

/** A server may send what no server should: it must not be half taken in. */
function ownersOf({ metadata: { ownerReferences } }: KubeObject) {
  return Array.isArray(ownerReferences) ? ownerReferences : [];
}

function addTo<T>(index: Map<string, Map<string, T>>, under: string, key: string, object: T): void {
  let group = index.get(under);
  if (!group) {
    group = new Map();
    index.set(under, group);
  }
  group.set(key, object);
}

function removeFrom<T>(index: Map<string, Map<string, T>>, under: string, key: string): void {
  const group = index.get(under);
  group?.delete(key);
  if (group?.size === 0) index.delete(under);
}
