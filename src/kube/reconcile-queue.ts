import { type KubeObject, parseKeyText } from '../api/meta.ts';
import { isConflict } from '../api/status.ts';
import { type Quarantine, SetAsideError, workName } from '../lib/quarantine.ts';
import { NotHereYet } from './informers.ts';
import type { ReconcileMetrics, ReconcileResult } from './reconcile-metrics.ts';
import { type Controller, type ReconcileContext, TerminalError } from './reconciler.ts';
import type { SetAsideNotices } from './set-aside.ts';
import type { Tracker } from './tracker.ts';
import { WorkQueue } from './work-queue.ts';

const concurrencyDefault = 8;
/** A reconcile that runs this long is told of, and again each time that the time has doubled. */
const overdueAfterMs = 30_000;

/** What keeps a reconcile that ends the process from doing so each time. */
export interface Guard {
  quarantine: Quarantine;
  notices: SetAsideNotices;
  /** How to come back to what was left alone, by the work's name. */
  left: Map<string, () => void>;
}

/** The keys of one controller, and what a reconcile that ends one way or another means for its key. */
export function reconcileQueue(
  controller: Controller,
  context: Omit<ReconcileContext, 'look'>,
  tracker: Tracker,
  observe: ReconcileMetrics,
  guard: Guard,
): WorkQueue {
  const { clock, log, cache } = context;
  /** Keys whose reconcile read a kind that is not here yet. */
  const waiting = new Set<string>();
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
          tracker.forget(text);
          guard.notices.forget(work);
          guard.left.delete(work);
          queue.forget(text);
          return;
        }
        // Its own write calls again, with the object as it is then.
        if (await guard.notices.clear(controller.kind, object)) return;
        const againMs = await guard.quarantine.run(work, () => reconcile(object, text));
        queue.forget(text);
        if (againMs !== undefined) queue.addAfter(text, againMs);
        end('ok');
      } catch (error) {
        const isSetAside = error instanceof SetAsideError && error.work === work && object !== undefined;
        end(isSetAside ? await leaveAlone(object, work, text) : onFailure(error, text));
      } finally {
        cancelOverdue();
      }
    },
  });

  /** Returns after how many milliseconds to reconcile again, if at all. */
  async function reconcile(object: KubeObject, text: string): Promise<number | undefined> {
    const round = tracker.begin(text);
    let isWhole = false;
    try {
      const requeue = await controller.reconcile(object, { ...context, look: round.look });
      isWhole = true;
      const asked = [requeue?.requeueAfterMs, round.unwatchedMs()].filter((ms) => ms !== undefined);
      return asked.length === 0 ? undefined : Math.min(...asked);
    } finally {
      round.end(isWhole);
    }
  }

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
    if (error instanceof NotHereYet) {
      waitFor(error, key);
      return 'waiting';
    }
    const retryInMs = queue.retry(key);
    if (isConflict(error)) {
      log.debug({ key, retryInMs: Math.round(retryInMs) }, 'the object changed meanwhile: reconciling again');
      return 'conflict';
    }
    log.warn({ key, err: error, retryInMs: Math.round(retryInMs) }, 'reconcile failed');
    return 'error';
  }

  function waitFor({ message, informer }: NotHereYet, key: string): void {
    if (waiting.has(key)) return;
    waiting.add(key);
    log.debug({ key, reason: message }, 'reconciling again once they are');
    // Never rejects.
    void informer.synced.then(() => {
      waiting.delete(key);
      queue.add(key);
    });
  }

  return queue;
}
