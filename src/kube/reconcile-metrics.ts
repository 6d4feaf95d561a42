import type { Quarantine } from '../lib/quarantine.ts';
import type { Metrics } from '../observe/metrics.ts';
import type { WorkQueue } from './work-queue.ts';

export type ReconcileResult = 'ok' | 'conflict' | 'error' | 'terminal' | 'stopped' | 'set-aside' | 'waiting';

export interface ReconcileMetrics {
  reconciled(controller: string, result: ReconcileResult, seconds: number): void;
  /** A controller could not say whom a change of `kind` concerns. */
  unmapped(controller: string, kind: string): void;
  /** A reconcile takes longer than it should. */
  overdue(controller: string): void;
  watchSetAside(controllers: readonly { name: string }[], quarantine: Quarantine): void;
  watchDepths(queues: readonly { name: string; queue: WorkQueue }[]): void;
}

export function reconcileMetrics(metrics: Metrics | undefined): ReconcileMetrics {
  if (!metrics) return { reconciled() {}, unmapped() {}, overdue() {}, watchSetAside() {}, watchDepths() {} };
  const total = metrics.counter('kittiwake_reconciles_total', 'Reconciles, by how they ended.', [
    'controller',
    'result',
  ]);
  const duration = metrics.histogram('kittiwake_reconcile_seconds', 'How long a reconcile took.', ['controller']);
  const unmapped = metrics.counter(
    'kittiwake_reconcile_unmapped_total',
    'Changes of other kinds for which a controller failed to say whom they concern.',
    ['controller', 'kind'],
  );
  const overdue = metrics.counter(
    'kittiwake_reconciles_overdue_total',
    'Reconciles that were still running after 30 s; counted again each time that this has doubled.',
    ['controller'],
  );
  const setAside = metrics.gauge(
    'kittiwake_reconciles_set_aside',
    'Objects that a controller leaves alone, because reconciling them ended the process twice.',
    ['controller'],
  );
  const depth = metrics.gauge('kittiwake_reconcile_queue_depth', 'Keys that wait to be reconciled.', ['controller']);
  return {
    reconciled(controller, result, seconds) {
      total.inc({ controller, result });
      duration.observe({ controller }, seconds);
    },
    unmapped: (controller, kind) => unmapped.inc({ controller, kind }),
    overdue: (controller) => overdue.inc({ controller }),
    watchSetAside(controllers, quarantine) {
      Object.assign(setAside, {
        collect() {
          setAside.reset();
          for (const { name } of controllers) {
            const count = quarantine.names.filter((work) => work.startsWith(`${name} `)).length;
            if (count > 0) setAside.set({ controller: name }, count);
          }
        },
      });
    },
    watchDepths(queues) {
      // Read when scraped: no work on the hot path.
      Object.assign(depth, {
        collect() {
          for (const { name, queue } of queues) depth.set({ controller: name }, queue.depth);
        },
      });
    },
  };
}
