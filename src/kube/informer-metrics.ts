import type { Metrics } from '../observe/metrics.ts';

type Failed = (what: 'handler' | 'object') => void;

/** A role has one set of metrics and many informers: they share the counter. */
const countersOf = new WeakMap<Metrics, ReturnType<typeof counterIn>>();

const counterIn = (metrics: Metrics) =>
  metrics.counter(
    'kittiwake_informer_failures_total',
    'Changes that a handler failed at, and objects from the API that could not be taken in.',
    ['kind', 'what'],
  );

/** Counts what an informer of `kind` fails at. */
export function informerMetrics(metrics: Metrics | undefined, kind: string): Failed {
  if (!metrics) return () => {};
  const counter = countersOf.get(metrics) ?? counterIn(metrics);
  countersOf.set(metrics, counter);
  return (what) => counter.inc({ kind, what });
}
