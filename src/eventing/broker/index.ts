import type { Client } from '../../kube/client.ts';
import type { Clock } from '../../lib/clock.ts';
import { Quarantine } from '../../lib/quarantine.ts';
import { type ListenHandle, listen, urlOf } from '../../observe/listen.ts';
import type { Logger } from '../../observe/log.ts';
import type { Metrics } from '../../observe/metrics.ts';
import type { LogBackend } from '../backends/event-log.ts';
import { Poster } from '../poster.ts';
import { Brokers } from './brokers.ts';
import { type Following, follow } from './follow.ts';
import { createIngress } from './ingress.ts';
import { type BrokerMetrics, brokerMetrics } from './metrics.ts';

export interface BrokerOptions {
  client: Client;
  /** Holds what was last known of the API. */
  dir: string;
  /** Where the events of all brokers are kept. */
  backend: LogBackend;
  /** Loopback unless given. */
  host?: string;
  /** 0 is any free one. */
  port: number;
  /** A bound socket to listen on instead, which outlives this process. */
  handle?: ListenHandle | undefined;
  /** Dialled for subscribers under `.svc.cluster.local`. */
  gatewayUrl?: string;
  clock: Clock;
  log: Logger;
  /** What ended the process twice is left alone: an event, or a whole broker. */
  quarantine?: Quarantine;
  metrics?: Metrics;
  limits?: {
    /** Of one event's request body; 1 MiB unless given. */
    eventBytesMax?: number;
    /** Deliveries of one trigger at once; 32 unless given. */
    inFlightMax?: number;
  };
}

export interface RunningBroker {
  url: string;
  port: number;
  /** Ends deliveries within half a second, writes the cursors and closes the logs. */
  stop(): Promise<void>;
}

const stopGraceMs = 500;

/** Runs the data path of all Brokers: the ingress, their logs and the dispatchers of their Triggers. */
export async function startBroker(options: BrokerOptions): Promise<RunningBroker> {
  const { client, clock, log, limits = {}, gatewayUrl } = options;
  const poster = new Poster();
  const metrics: BrokerMetrics = brokerMetrics(options.metrics, { backlogs: () => brokers.backlogs() });
  const eventBytesMax = limits.eventBytesMax ?? 2 ** 20;
  const brokers: Brokers = new Brokers({
    dir: options.dir,
    backend: options.backend,
    poster,
    quarantine: options.quarantine ?? new Quarantine(),
    gatewayUrl,
    inFlightMax: limits.inFlightMax ?? 32,
    replyBytesMax: eventBytesMax,
    clock,
    log,
    metrics,
    onChange: () => following?.schedule(),
  });
  let following: Following | undefined;
  await brokers.restore();
  const server = createIngress({
    find: (namespace, name) => brokers.find(namespace, name),
    eventBytesMax,
    bodiesBytesMax: 64 * eventBytesMax,
    metrics,
    clock,
    log,
  });
  const { handle, host, port: wanted } = options;
  const port = await listen(server, { host, port: wanted, role: 'broker', flag: '--broker-port', handle, log });
  following = follow({ client, brokers, clock, log });
  return {
    url: urlOf(port, host),
    port,
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeIdleConnections();
      await following?.stop();
      await brokers.stop(stopGraceMs);
      server.closeAllConnections();
      await closed;
      poster.close();
    },
  };
}
