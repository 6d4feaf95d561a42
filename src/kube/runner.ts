import { apiVersionOf, type Configuration, type Kind, noConfiguration } from '../api/kind.ts';
import { type Key, type KubeObject, keyOf, keyText, parseKeyText } from '../api/meta.ts';
import { isConflict } from '../api/status.ts';
import type { Clock } from '../lib/clock.ts';
import { assert } from '../lib/errors.ts';
import { Quarantine, SetAsideError, workName } from '../lib/quarantine.ts';
import type { Logger } from '../observe/log.ts';
import type { Metrics } from '../observe/metrics.ts';
import type { Client } from './client.ts';
import { Informer } from './informer.ts';
import { type ReconcileMetrics, type ReconcileResult, reconcileMetrics } from './reconcile-metrics.ts';
import { type Cache, type Controller, type ReconcileContext, TerminalError } from './reconciler.ts';
import { SetAsideNotices } from './set-aside.ts';
import { WorkQueue } from './work-queue.ts';

export interface RunnerOptions {
  client: Client;
  clock: Clock;
  log: Logger;
  metrics?: Metrics;
  /** Asked for what kinds are configured with; nothing unless given. */
  config?: () => Configuration;
  /** What ended this process before; `role` is what it is called there. */
  quarantine?: Quarantine;
  role?: string;
}

export interface RunningControllers {
  cache: Cache;
  /** Stops the watches and waits for the reconciles that run. */
  stop(): Promise<void>;
}

const concurrencyDefault = 8;
/** A reconcile that runs this long is told of, and again each time that the time has doubled. */
const overdueAfterMs = 30_000;

/**
 * Runs controllers over shared informers, one for each kind that some controller reconciles or watches. Resolves when
 * every informer has its first copy; from then on a change is reconciled within the tick in which it arrives.
 */
export async function runControllers(
  controllers: readonly Controller[],
  options: RunnerOptions,
): Promise<RunningControllers> {
  const {
    client,
    clock,
    config = () => noConfiguration,
    log,
    quarantine = new Quarantine(),
    role = 'control',
  } = options;
  const abort = new AbortController();
  const informers = new Informers(client, clock, log, options.metrics);
  const observe = reconcileMetrics(options.metrics);
  const guard: Guard = {
    quarantine,
    notices: new SetAsideNotices({ client, clock, quarantine, role }),
    left: new Map(),
  };
  const queues: { name: string; queue: WorkQueue }[] = [];
  for (const controller of controllers) {
    const context: ReconcileContext = {
      client,
      kind: controller.kind,
      cache: informers,
      config,
      clock,
      log: log.child({ controller: controller.name }),
      signal: abort.signal,
      quarantine,
      again: (key) => queue.add(keyText(key)),
    };
    const queue: WorkQueue = reconcileQueue(controller, context, observe, guard);
    queues.push({ name: controller.name, queue });
    connect(controller, informers, queue, context.log, observe);
  }
  observe.watchDepths(queues);
  observe.watchSetAside(controllers, quarantine);
  const stopListening = quarantine.onRelease((work) => guard.left.get(work)?.());

  await informers.start();
  for (const { queue } of queues) queue.start();
  return {
    cache: informers,
    async stop() {
      abort.abort();
      stopListening();
      await Promise.all([informers.stop(), ...queues.map(({ queue }) => queue.stop())]);
    },
  };
}

function connect(
  controller: Controller,
  informers: Informers,
  queue: WorkQueue,
  log: Logger,
  observe: ReconcileMetrics,
): void {
  informers.of(controller.kind).onChange((_type, object) => queue.add(keyText(keyOf(object))));
  for (const watch of controller.watches ?? []) {
    // One copy that cannot be mapped keeps neither the other, nor other controllers, from being so.
    const concern = (object: KubeObject) => {
      try {
        for (const key of watch.keys(object, informers)) queue.add(keyText(key));
      } catch (error) {
        observe.unmapped(controller.name, watch.kind.kind);
        const fields = { kind: watch.kind.kind, key: keyText(keyOf(object)), err: error };
        log.error(fields, 'whom a change concerns could not be found out: nobody is reconciled for it');
      }
    };
    informers.of(watch.kind).onChange((_type, object, old) => {
      concern(object);
      if (old) concern(old);
    });
  }
}

/** What keeps a reconcile that ends the process from doing so each time. */
interface Guard {
  quarantine: Quarantine;
  notices: SetAsideNotices;
  /** How to come back to what was left alone, by the work's name. */
  left: Map<string, () => void>;
}

function reconcileQueue(
  controller: Controller,
  context: ReconcileContext,
  observe: ReconcileMetrics,
  guard: Guard,
): WorkQueue {
  const { clock, log, cache } = context;
  const queue: WorkQueue = new WorkQueue({
    clock,
    log,
    concurrency: controller.concurrency ?? concurrencyDefault,
    async process(text) {
      const key = parseKeyText(text);
      const object = cache.get(controller.kind, key);
      const work = workName(`${controller.name} ${text}`);
      queue.cancelTimer(text);
      const startedMs = clock.monotonic();
      const end = (result: ReconcileResult) =>
        observe.reconciled(controller.name, result, (clock.monotonic() - startedMs) / 1000);
      const cancelOverdue = noticeOverdue(text, overdueAfterMs);
      try {
        if (!object) {
          controller.onGone?.(key);
          guard.notices.forget(work);
          queue.forget(text);
          return;
        }
        // Its own write calls again, with the object as it is then.
        if (await guard.notices.clear(controller.kind, object)) return;
        const requeue = await guard.quarantine.run(work, async () => await controller.reconcile(object, context));
        queue.forget(text);
        if (requeue) queue.addAfter(text, requeue.requeueAfterMs);
        end('ok');
      } catch (error) {
        const isSetAside = error instanceof SetAsideError && error.work === work && object !== undefined;
        end(isSetAside ? await leaveAlone(object, work, text) : onFailure(error, text));
      } finally {
        cancelOverdue();
      }
    },
  });

  async function leaveAlone(object: KubeObject, work: string, text: string): Promise<ReconcileResult> {
    guard.left.set(work, () => {
      guard.left.delete(work);
      guard.notices.forget(work);
      queue.add(text);
    });
    try {
      await guard.notices.tell(controller.kind, object, work, log);
      queue.forget(text);
      return 'set-aside';
    } catch (error) {
      return onFailure(error, text);
    }
  }

  /** Nothing is ended: what it does may be right, and take its time. Returns how to cancel it. */
  function noticeOverdue(key: string, afterMs: number): () => void {
    let cancel = clock.after(afterMs, () => {
      observe.overdue(controller.name);
      log.warn({ key }, `reconcile still running after ${Math.round(afterMs / 1000)} s`);
      cancel = noticeOverdue(key, afterMs * 2);
    });
    return () => cancel();
  }

  function onFailure(error: unknown, key: string): ReconcileResult {
    if (context.signal.aborted) return 'stopped';
    if (error instanceof TerminalError) {
      queue.forget(key);
      log.warn({ key, reason: error.message }, 'reconcile failed for good, until the object changes');
      return 'terminal';
    }
    const retryInMs = queue.retry(key);
    if (isConflict(error)) {
      log.debug({ key, retryInMs: Math.round(retryInMs) }, 'the object changed meanwhile: reconciling again');
      return 'conflict';
    }
    log.warn({ key, err: error, retryInMs: Math.round(retryInMs) }, 'reconcile failed');
    return 'error';
  }

  return queue;
}

/** One informer for each kind; it is also the cache that reconcilers read. */
class Informers implements Cache {
  readonly #client: Client;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #metrics: Metrics | undefined;
  readonly #byKind = new Map<string, Informer<KubeObject>>();

  constructor(client: Client, clock: Clock, log: Logger, metrics: Metrics | undefined) {
    this.#client = client;
    this.#clock = clock;
    this.#log = log;
    this.#metrics = metrics;
  }

  of<T extends KubeObject>(kind: Kind<T>): Informer<T> {
    const id = idOf(kind);
    let informer = this.#byKind.get(id);
    if (!informer) {
      const options = { clock: this.#clock, log: this.#log, metrics: this.#metrics };
      informer = new Informer<KubeObject>(this.#client, kind, options);
      this.#byKind.set(id, informer);
    }
    // The map is keyed by the kind, so what is found under it holds objects of that kind.
    return informer as unknown as Informer<T>;
  }

  async start(): Promise<void> {
    for (const informer of this.#byKind.values()) informer.start();
    await Promise.all([...this.#byKind.values()].map((informer) => informer.synced));
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#byKind.values()].map((informer) => informer.stop()));
  }

  get<T extends KubeObject>(kind: Kind<T>, key: Key): T | undefined {
    return this.#known(kind).get(key);
  }

  has(kind: Kind): boolean {
    return this.#byKind.has(idOf(kind));
  }

  list<T extends KubeObject>(kind: Kind<T>, options?: { namespace?: string; labels?: Record<string, string> }): T[] {
    return this.#known(kind).list(options);
  }

  ownedBy<T extends KubeObject>(kind: Kind<T>, owner: KubeObject): T[] {
    const { uid } = owner.metadata;
    if (uid === undefined) return [];
    return this.#known(kind)
      .ownedBy(uid)
      .filter((object) => object.metadata.ownerReferences?.some((r) => r.controller && r.uid === uid));
  }

  #known<T extends KubeObject>(kind: Kind<T>): Informer<T> {
    assert(this.has(kind), `${kind.kind} is not in the cache: no controller reconciles or watches it`);
    return this.of(kind);
  }
}

const idOf = (kind: Kind) => `${apiVersionOf(kind)}/${kind.kind}`;
