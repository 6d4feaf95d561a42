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
  /** By controller: what waits, and what is set aside. */
  watch(queues: readonly { name: string; queue: WorkQueue }[], quarantine: Quarantine): void;
}

export function reconcileMetrics(metrics: Metrics | undefined): ReconcileMetrics {
  if (!metrics) return { reconciled() {}, unmapped() {}, overdue() {}, watch() {} };
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
  return {
    reconciled(controller, result, seconds) {
      total.inc({ controller, result });
      duration.observe({ controller }, seconds);
    },
    unmapped: (controller, kind) => unmapped.inc({ controller, kind }),
    overdue: (controller) => overdue.inc({ controller }),
    watch(queues, quarantine) {
      const help = 'Objects that a controller leaves alone, because reconciling them ended the process twice.';
      metrics.gauge('kittiwake_reconciles_set_aside', help, ['controller'], () => {
        const countOf = (name: string) => quarantine.names.filter((work) => work.startsWith(`${name} `)).length;
        return queues
          .map(({ name }) => [{ controller: name }, countOf(name)] as const)
          .filter(([, count]) => count > 0);
      });
      const waiting = 'Keys that wait to be reconciled.';
      metrics.gauge('kittiwake_reconcile_queue_depth', waiting, ['controller'], () =>
        queues.map(({ name, queue }) => [{ controller: name }, queue.depth]),
      );
    },
  };
}
