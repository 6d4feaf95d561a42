import type { Clock } from '../../../lib/clock.ts';
import type { Metrics } from '../../../observe/metrics.ts';
import type { Exchange } from './exchange.ts';

interface Measured {
  startMs: number;
  verb: string;
  resource: string;
}

/** Counts requests by verb, resource and status code, their durations, and the watches that are open. */
export function requestMetrics(metrics: Metrics | undefined, clock: Clock) {
  if (!metrics) return { begin() {}, onRoute() {} };
  const labels = ['verb', 'resource'] as const;
  const requests = metrics.counter('kittiwake_apiserver_requests_total', 'Requests answered.', [...labels, 'code']);
  const durations = metrics.histogram('kittiwake_apiserver_request_duration_seconds', 'Time to answer.', labels);
  const watches = metrics.gauge('kittiwake_apiserver_watches', 'Watches that are open.', ['resource']);
  const measured = new WeakMap<Exchange, Measured>();
  return {
    begin(exchange: Exchange): void {
      const entry = { startMs: clock.monotonic(), verb: exchange.method.toLowerCase(), resource: 'other' };
      measured.set(exchange, entry);
      exchange.response.once('close', () => {
        const { resource, startMs, verb } = entry;
        requests.inc({ verb, resource, code: `${exchange.response.statusCode}` });
        if (verb === 'watch') watches.dec({ resource });
        else durations.observe({ verb, resource }, (clock.monotonic() - startMs) / 1000);
      });
    },
    onRoute(exchange: Exchange, verb: string, resource: string): void {
      const entry = measured.get(exchange);
      if (!entry) return;
      Object.assign(entry, { verb, resource });
      if (verb === 'watch') watches.inc({ resource });
    },
  };
}
