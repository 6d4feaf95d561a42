import type { AddressInfo } from 'node:net';
import { type Broker, BrokerKind } from '../../api/eventing/broker.ts';
import { type Trigger, TriggerKind } from '../../api/eventing/trigger.ts';
import type { Kind } from '../../api/kind.ts';
import { type KubeObject, keyOf, keyText } from '../../api/meta.ts';
import type { Client } from '../../kube/client.ts';
import { Informer } from '../../kube/informer.ts';
import type { Clock } from '../../lib/clock.ts';
import { messageOf } from '../../lib/errors.ts';
import { Quarantine } from '../../lib/quarantine.ts';
import { type ListenHandle, listenOnLoopback } from '../../observe/http.ts';
import type { Logger } from '../../observe/log.ts';
import type { Metrics } from '../../observe/metrics.ts';
import type { LogLimits } from '../backends/sqlite.ts';
import { Poster } from '../http-client.ts';
import { servingAnnotation, servingError } from '../status-annotations.ts';
import { Brokers } from './brokers.ts';
import { brokerConfigs, triggerConfig } from './config.ts';
import { createIngress } from './ingress.ts';
import { type BrokerMetrics, brokerMetrics } from './metrics.ts';

export interface BrokerOptions {
  client: Client;
  /** Holds the logs, one file a broker, and what was last known of the API. */
  dir: string;
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
  limits?: LogLimits & {
    /** Of one event's request body; 1 MiB unless given. */
    eventBytesMax?: number;
    /** Deliveries of one trigger at once; 32 unless given. */
    inFlightMax?: number;
  };
  /** A failing disk: nothing can be promised any more. Unless given, it crashes the process, to be restarted. */
  onFailure?(error: unknown): void;
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
    poster,
    quarantine: options.quarantine ?? new Quarantine(),
    gatewayUrl,
    inFlightMax: limits.inFlightMax ?? 32,
    replyBytesMax: eventBytesMax,
    limits,
    clock,
    log,
    metrics,
    onFailure: options.onFailure ?? crash,
  });
  await brokers.restore();
  const server = createIngress({
    find: (namespace, name) => brokers.find(namespace, name),
    eventBytesMax,
    bodiesBytesMax: 64 * eventBytesMax,
    metrics,
    clock,
    log,
  });
  await listenOnLoopback(server, { port: options.port, role: 'broker', flag: '--broker-port', handle: options.handle });
  const stopFollowing = follow(client, brokers, clock, log);
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeIdleConnections();
      await stopFollowing();
      await brokers.stop(stopGraceMs);
      server.closeAllConnections();
      await closed;
      poster.close();
    },
  };
}

/** Keeps `brokers` as the API server has them, and says in their status what is served. Returns how to stop. */
function follow(client: Client, brokers: Brokers, clock: Clock, log: Logger): () => Promise<void> {
  const brokerInformer = new Informer(client, BrokerKind, { clock, log });
  const triggerInformer = new Informer(client, TriggerKind, { clock, log });
  let isStopped = false;
  let isScheduled = false;
  let isSynced = false;

  const schedule = () => {
    if (isScheduled || isStopped || !isSynced) return;
    isScheduled = true;
    setImmediate(() => {
      isScheduled = false;
      if (!isStopped) apply().catch((error) => log.error({ err: error }, 'brokers not changed'));
    });
  };

  const apply = async () => {
    const configs = brokerConfigs(brokerInformer.list());
    const triggers = triggerInformer
      .list()
      .filter((trigger) => trigger.metadata.deletionTimestamp === undefined)
      .map((trigger) => triggerConfig(trigger, brokerInformer.get(brokerKey(trigger))));
    await brokers.set({ brokers: configs, triggers });
    for (const config of configs) {
      const served = brokers.served(config);
      const value = served && (served.error === undefined ? served.uid : servingError(served.error));
      await report(BrokerKind, brokerInformer.get(config), value);
    }
    for (const config of triggers) {
      if (brokers.isSubscribed(config)) await report(TriggerKind, triggerInformer.get(config), config.uid);
    }
  };

  const report = async <T extends Broker | Trigger>(kind: Kind<T>, object: T | undefined, value?: string) => {
    if (!object || value === undefined || object.status?.annotations?.[servingAnnotation] === value) return;
    const patch = { metadata: { uid: object.metadata.uid }, status: { annotations: { [servingAnnotation]: value } } };
    try {
      await client.patch(kind as Kind<KubeObject>, keyOf(object), { type: 'merge', patch }, 'status');
    } catch (error) {
      log.warn({ object: keyText(keyOf(object)), reason: messageOf(error) }, 'status not written, trying again');
      clock.after(1000, schedule);
    }
  };

  brokerInformer.onChange(schedule);
  triggerInformer.onChange(schedule);
  brokerInformer.start();
  triggerInformer.start();
  void Promise.all([brokerInformer.synced, triggerInformer.synced]).then(() => {
    isSynced = true;
    schedule();
  });
  return async () => {
    isStopped = true;
    await Promise.all([brokerInformer.stop(), triggerInformer.stop()]);
  };
}

const brokerKey = (trigger: Trigger) => ({
  namespace: trigger.metadata.namespace ?? '',
  name: trigger.spec.broker ?? '',
});

function crash(error: unknown): void {
  setImmediate(() => {
    throw error;
  });
}
