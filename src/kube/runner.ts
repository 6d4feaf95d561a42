import { type Configuration, type Kind, noConfiguration } from '../api/kind.ts';
import { type KubeObject, keyOf, keyText } from '../api/meta.ts';
import type { UserInfo } from '../api/user.ts';
import type { Clock } from '../lib/clock.ts';
import { Quarantine } from '../lib/quarantine.ts';
import type { Logger } from '../observe/log.ts';
import type { Metrics } from '../observe/metrics.ts';
import type { Client } from './client.ts';
import type { ChangeHandler } from './informer.ts';
import { Informers } from './informers.ts';
import { type ReconcileMetrics, reconcileMetrics } from './reconcile-metrics.ts';
import { type Guard, reconcileQueue } from './reconcile-queue.ts';
import type { Cache, Controller, ControllerContext } from './reconciler.ts';
import { SetAsideNotices } from './set-aside.ts';
import { Tracker } from './tracker.ts';
import type { WorkQueue } from './work-queue.ts';

export interface RunnerOptions {
  client: Client;
  /** For controllers that have a user of their own; they share `client` unless given. */
  clientFor?: (user: UserInfo) => Client;
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

/**
 * Runs controllers over shared informers, one for each kind that some controller reconciles or watches. A controller
 * begins when its own kinds are here, whatever becomes of the others; from then on a change is reconciled within the
 * tick in which it arrives. Resolves when every informer has its first copy, or has failed to get one and tries on.
 */
export async function runControllers(
  controllers: readonly Controller[],
  options: RunnerOptions,
): Promise<RunningControllers> {
  const {
    client,
    clientFor,
    clock,
    config = () => noConfiguration,
    log,
    quarantine = new Quarantine(),
    role = 'control',
  } = options;
  const abort = new AbortController();
  const informers = new Informers(client, { clock, log, metrics: options.metrics });
  const observe = reconcileMetrics(options.metrics);
  const guard: Guard = {
    quarantine,
    notices: new SetAsideNotices({ client, clock, quarantine, role }),
    left: new Map(),
  };
  const queues: { name: string; queue: WorkQueue }[] = [];
  for (const controller of controllers) {
    const own = (controller.user && clientFor?.(controller.user)) ?? client;
    const context: ControllerContext = {
      client: own,
      kind: controller.kind,
      cache: informers.cache,
      config,
      clock,
      log: log.child({ controller: controller.name }),
      signal: abort.signal,
      quarantine,
      again: (key) => queue.add(keyText(key)),
      follow: (kind, handler) => follow(informers, kind, handler),
    };
    const tracker = new Tracker(own, informers, (key) => queue.add(key));
    const queue: WorkQueue = reconcileQueue(controller, context, tracker, observe, guard);
    queues.push({ name: controller.name, queue });
    connect(controller, informers, queue, context.log, observe);
    // Never rejects.
    void ownInformersSynced(controller, informers).then(() => {
      if (!abort.signal.aborted) begin(controller, context, queue);
    });
  }
  observe.watch(queues, quarantine);
  const stopListening = quarantine.onRelease((work) => guard.left.get(work)?.());

  await informers.start();
  return {
    cache: informers.cache,
    async stop() {
      abort.abort();
      stopListening();
      await Promise.all([informers.stop(), ...queues.map(({ queue }) => queue.stop())]);
    },
  };
}

function begin(controller: Controller, context: ControllerContext, queue: WorkQueue): void {
  try {
    controller.start?.(context);
    queue.start();
  } catch (error) {
    context.log.error({ err: error }, 'the controller cannot start: nothing is reconciled by it');
  }
}

function ownInformersSynced({ kind, watches = [] }: Controller, informers: Informers): Promise<unknown> {
  return Promise.all([kind, ...watches.map((watch) => watch.kind)].map((own) => informers.of(own).synced));
}

function follow<T extends KubeObject>(informers: Informers, kind: Kind<T>, handler: ChangeHandler<T>): () => void {
  const { informer, release } = informers.hold(kind);
  const stopListening = informer.follow(handler);
  return () => {
    stopListening();
    release();
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
        for (const key of watch.keys(object, informers.partial)) queue.add(keyText(key));
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
