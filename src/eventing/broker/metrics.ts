import type { Metrics } from '../../observe/metrics.ts';
import type { DispatchMetrics } from '../dispatcher/dispatcher.ts';

export interface BrokerMetrics {
  accepted(broker: string, seconds: number): void;
  refused(code: string): void;
  ofTrigger(broker: string, trigger: string): DispatchMetrics;
}

/** The source of what is read when metrics are scraped. */
export interface Backlogs {
  backlogs(): Promise<readonly Backlog[]>;
}

export interface Backlog {
  broker: string;
  trigger: string;
  /** That the trigger is not past. */
  events: number;
  /** Of these, what is left alone because it ended the process twice. */
  setAside: number;
}

export function brokerMetrics(metrics: Metrics | undefined, source: Backlogs): BrokerMetrics {
  if (!metrics) return silentMetrics;
  const accepted = metrics.counter('kittiwake_broker_accepted_total', 'Events acknowledged to producers.', ['broker']);
  const refused = metrics.counter('kittiwake_broker_refused_total', 'Requests refused, by error.', ['code']);
  const latency = metrics.histogram(
    'kittiwake_broker_accept_seconds',
    'From the whole request to its 202: what it takes to be on disk.',
    ['broker'],
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1],
  );
  const labels = ['broker', 'trigger', 'result'] as const;
  const deliveries = metrics.counter('kittiwake_broker_deliveries_total', 'Attempts of triggers, by result.', labels);
  const ofTrigger = ['broker', 'trigger'] as const;
  let asked: ReturnType<Backlogs['backlogs']> | undefined;
  /** Both gauges are read in one turn: one question answers them. */
  const backlogs = () => {
    asked ??= source.backlogs().finally(() => {
      asked = undefined;
    });
    return asked;
  };
  metrics.gauge('kittiwake_broker_backlog', 'Events that a trigger is not past.', ofTrigger, async () =>
    (await backlogs()).map(({ broker, trigger, events }) => [{ broker, trigger }, events]),
  );
  const help = 'Events that are kept and not delivered, because they ended the process twice.';
  metrics.gauge('kittiwake_broker_events_set_aside', help, ofTrigger, async () =>
    (await backlogs()).map(({ broker, trigger, setAside }) => [{ broker, trigger }, setAside]),
  );
  return {
    accepted(broker, seconds) {
      accepted.inc({ broker });
      latency.observe({ broker }, seconds);
    },
    refused: (code) => refused.inc({ code }),
    ofTrigger(broker, trigger) {
      const count = (result: string) => () => deliveries.inc({ broker, trigger, result });
      return {
        delivered: count('delivered'),
        retried: count('retried'),
        deadLettered: count('dead_lettered'),
        dropped: count('dropped'),
      };
    },
  };
}

const silentMetrics: BrokerMetrics = {
  accepted() {},
  refused() {},
  ofTrigger: () => ({ delivered() {}, retried() {}, deadLettered() {}, dropped() {} }),
};
