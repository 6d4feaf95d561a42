import type { Metrics } from '../observe/metrics.ts';
import type { Backend } from './backend.ts';
import type { GatewayContext } from './context.ts';
import { latencyBucketsMs, outcomes, type RevisionCounters } from './revision-counters.ts';

/** Adds the gateway's series to `metrics`. They are put into words only when somebody asks. */
export function exposeMetrics(metrics: Metrics, context: GatewayContext): void {
  metrics.addSource(() => gatewayMetrics(context));
}

/** Prometheus' text format. */
export function gatewayMetrics(context: GatewayContext): string {
  const { counters, connections, router } = context;
  const backends = [...router.backends()];
  const gauge = (name: string, help: string, value: (backend: Backend) => number) =>
    family(
      name,
      'gauge',
      help,
      backends.flatMap((backend) => series(name, labelsOf(backend), value(backend))),
    );
  const counter = (name: string, help: string, value: (counters: RevisionCounters) => number) =>
    family(
      name,
      'counter',
      help,
      backends.map((backend) => series(name, labelsOf(backend), value(backend.counters))),
    );
  return [
    family('kittiwake_gateway_connections', 'gauge', 'Client connections.', [
      series('kittiwake_gateway_connections', {}, connections.size),
    ]),
    family('kittiwake_gateway_connections_total', 'counter', 'Client connections accepted and refused.', [
      series('kittiwake_gateway_connections_total', { result: 'accepted' }, counters.accepted),
      series('kittiwake_gateway_connections_total', { result: 'refused' }, counters.refusedConnections),
    ]),
    family(
      'kittiwake_gateway_internal_errors_total',
      'counter',
      'Connections ended by an error in the gateway itself.',
      [series('kittiwake_gateway_internal_errors_total', {}, counters.internalErrors)],
    ),
    family(
      'kittiwake_gateway_invalid_routes',
      'gauge',
      'Parts of objects left out of the routes because they are wrong.',
      [series('kittiwake_gateway_invalid_routes', {}, counters.problems)],
    ),
    family('kittiwake_gateway_shed_total', 'counter', 'Connections cut off because all together held too much.', [
      series('kittiwake_gateway_shed_total', {}, counters.shed),
    ]),
    family(
      'kittiwake_gateway_local_replies_total',
      'counter',
      'Requests that no revision saw: bad ones and those without a route.',
      [...counters.localReplies].map(([code, count]) =>
        series('kittiwake_gateway_local_replies_total', { code: String(code) }, count),
      ),
    ),
    family(
      'kittiwake_gateway_requests_total',
      'counter',
      'Requests ended, by class of the status.',
      backends.flatMap((backend) =>
        outcomes.map((code, at) =>
          series(
            'kittiwake_gateway_requests_total',
            { ...labelsOf(backend), code_class: code },
            backend.counters.ended[at] ?? 0,
          ),
        ),
      ),
    ),
    family(
      'kittiwake_gateway_request_duration_seconds',
      'histogram',
      'From the arrival of a request to the end of its reply, queueing included.',
      backends.flatMap((backend) => histogram('kittiwake_gateway_request_duration_seconds', backend)),
    ),
    gauge('kittiwake_gateway_requests_active', 'Requests arrived and not ended.', (b) => b.counters.active),
    gauge('kittiwake_gateway_queue_depth', 'Requests that wait for a pod or a slot.', (backend) => backend.queued),
    counter('kittiwake_gateway_queue_rejections_total', 'Requests refused by a full queue.', (c) => c.rejected),
    counter('kittiwake_gateway_connect_failures_total', 'Failed connects to pods.', (c) => c.connectFailures),
    counter('kittiwake_gateway_bad_replies_total', 'Replies from pods cut short or malformed.', (c) => c.badReplies),
  ].join('');
}

function histogram(name: string, backend: Backend): string[] {
  const { latency, latencySumMs } = backend.counters;
  const labels = labelsOf(backend);
  let cumulative = 0;
  const buckets = [...latency].map((count, at) => {
    cumulative += count;
    const bound = latencyBucketsMs[at];
    return series(`${name}_bucket`, { ...labels, le: bound === undefined ? '+Inf' : String(bound / 1000) }, cumulative);
  });
  return [...buckets, series(`${name}_sum`, labels, latencySumMs / 1000), series(`${name}_count`, labels, cumulative)];
}

function labelsOf({ target }: Backend): Record<string, string> {
  const { namespace, name, revision } = target;
  return revision === undefined ? { namespace, service: name } : { namespace, revision };
}

function series(name: string, labels: Record<string, string>, value: number): string {
  const all = Object.entries({ ...labels, role: 'gateway' }).map(([key, text]) => `${key}="${escaped(text)}"`);
  return `${name}{${all.join(',')}} ${value}\n`;
}

/** An Ingress may name a revision that could not exist, in any characters. */
function escaped(text: string): string {
  return text.replace(/[\\"\n]/g, (character) => (character === '\n' ? '\\n' : `\\${character}`));
}

function family(name: string, type: 'counter' | 'gauge' | 'histogram', help: string, lines: string[]): string {
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`;
}
