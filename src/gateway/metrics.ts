import type { Metrics } from '../observe/metrics.ts';
import type { Backend } from './backend.ts';
import type { GatewayContext } from './context.ts';
import { latencyBucketsMs, outcomes } from './revision-counters.ts';

/** Adds the gateway's series to `metrics`. They are put into words only when somebody asks. */
export function exposeMetrics(metrics: Metrics, context: GatewayContext): void {
  metrics.addSource(() => gatewayMetrics(context));
}

type Labels = Record<string, string>;
/** `suffix` is behind the family's name. */
type Series = [labels: Labels, value: number, suffix?: string];

/** Prometheus' text format. */
export function gatewayMetrics({ counters, connections, router }: GatewayContext): string {
  const backends = [...router.backends()];
  const each = (value: (backend: Backend) => number) =>
    backends.map((backend): Series => [labelsOf(backend), value(backend)]);
  const ended = (backend: Backend) =>
    outcomes.map((code, at): Series => [{ ...labelsOf(backend), code_class: code }, backend.counters.ended[at] ?? 0]);
  return [
    gauge('connections', 'Client connections.', [[{}, connections.size]]),
    counter('connections_total', 'Client connections accepted and refused.', [
      [{ result: 'accepted' }, counters.accepted],
      [{ result: 'refused' }, counters.refusedConnections],
    ]),
    counter('internal_errors_total', 'Connections ended by an error in the gateway itself.', [
      [{}, counters.internalErrors],
    ]),
    gauge('invalid_routes', 'Parts of objects left out of the routes because they are wrong.', [
      [{}, counters.problems],
    ]),
    counter('shed_total', 'Connections cut off because all together held too much.', [[{}, counters.shed]]),
    counter(
      'local_replies_total',
      'Requests that no revision saw: bad ones and those without a route.',
      [...counters.localReplies].map(([code, count]) => [{ code: String(code) }, count]),
    ),
    counter('requests_total', 'Requests ended, by class of the status.', backends.flatMap(ended)),
    family(
      'histogram',
      'request_duration_seconds',
      'From the arrival of a request to the end of its reply, queueing included.',
      backends.flatMap(latencies),
    ),
    gauge(
      'requests_active',
      'Requests arrived and not ended.',
      each((backend) => backend.counters.active),
    ),
    gauge(
      'queue_depth',
      'Requests that wait for a pod or a slot.',
      each((backend) => backend.queued),
    ),
    counter(
      'queue_rejections_total',
      'Requests refused by a full queue.',
      each(({ counters: c }) => c.rejected),
    ),
    counter(
      'connect_failures_total',
      'Failed connects to pods.',
      each(({ counters: c }) => c.connectFailures),
    ),
    counter(
      'bad_replies_total',
      'Replies from pods cut short or malformed.',
      each(({ counters: c }) => c.badReplies),
    ),
  ].join('');
}

function latencies(backend: Backend): Series[] {
  const { latency, latencySumMs } = backend.counters;
  const labels = labelsOf(backend);
  let cumulative = 0;
  const buckets = [...latency].map((count, at): Series => {
    cumulative += count;
    const bound = latencyBucketsMs[at];
    return [{ ...labels, le: bound === undefined ? '+Inf' : String(bound / 1000) }, cumulative, '_bucket'];
  });
  return [...buckets, [labels, latencySumMs / 1000, '_sum'], [labels, cumulative, '_count']];
}

function labelsOf({ target: { namespace, name, revision } }: Backend): Labels {
  return revision === undefined ? { namespace, service: name } : { namespace, revision };
}

const gauge = (name: string, help: string, series: Series[]) => family('gauge', name, help, series);
const counter = (name: string, help: string, series: Series[]) => family('counter', name, help, series);

function family(type: 'counter' | 'gauge' | 'histogram', shortName: string, help: string, series: Series[]): string {
  const name = `kittiwake_gateway_${shortName}`;
  const lines = series.map(([labels, value, suffix = '']) => {
    const all = Object.entries({ ...labels, role: 'gateway' }).map(([key, text]) => `${key}="${escaped(text)}"`);
    return `${name}${suffix}{${all.join(',')}} ${value}\n`;
  });
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`;
}

/** An Ingress may name a revision that could not exist, in any characters. */
function escaped(text: string): string {
  return text.replace(/[\\"\n]/g, (character) => (character === '\n' ? '\\n' : `\\${character}`));
}
