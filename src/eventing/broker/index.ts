import { type Broker, BrokerKind } from '../../api/eventing/broker.ts';
import { type Trigger, TriggerKind } from '../../api/eventing/trigger.ts';
import type { Kind } from '../../api/kind.ts';
import { type KubeObject, keyOf, keyText } from '../../api/meta.ts';
import type { Client } from '../../kube/client.ts';
import { Informer } from '../../kube/informer.ts';
import type { Clock } from '../../lib/clock.ts';
import { messageOf } from '../../lib/errors.ts';
import { Quarantine } from '../../lib/quarantine.ts';
import { type ListenHandle, listen, urlOf } from '../../observe/listen.ts';
import type { Logger } from '../../observe/log.ts';
import type { Metrics } from '../../observe/metrics.ts';
import type { Flush } from '../backends/sqlite/sqlite-file.ts';
import type { LogLimits } from '../backends/sqlite/sqlite-log.ts';
import { Poster } from '../http-client.ts';
import { servingAnnotation, servingError, setAsideAnnotation } from '../status-annotations.ts';
import { Brokers } from './brokers.ts';
import { brokerConfigs, type TriggerConfig, triggerConfig } from './config.ts';
import { createIngress } from './ingress.ts';
import { type BrokerMetrics, brokerMetrics } from './metrics.ts';
import type { Served } from './runtime.ts';

export interface BrokerOptions {
  client: Client;
  /** Holds the logs, one file a broker, and what was last known of the API. */
  dir: string;
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
  /** For tests of a disk that fails. */
  fdatasync?: Flush;
  limits?: LogLimits & {
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
/** More names than this do not get into a status; `kittiwake status` has them all. */
const setAsideShown = 10;

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
    ...(options.fdatasync && { fdatasync: options.fdatasync }),
    gatewayUrl,
    inFlightMax: limits.inFlightMax ?? 32,
    replyBytesMax: eventBytesMax,
    limits,
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
  following = follow(client, brokers, clock, log);
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

interface Following {
  /** Looks again at what there is, and at what is served. */
  schedule(): void;
  stop(): Promise<void>;
}

/** Keeps `brokers` as the API server has them, and says in their status what is served. */
function follow(client: Client, brokers: Brokers, clock: Clock, log: Logger): Following {
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
      if (!isStopped) apply().catch(tryAgain);
    });
  };

  const tryAgain = (error: unknown) => {
    log.error({ err: error }, 'brokers not changed, trying again');
    clock.after(1000, schedule);
  };

  const apply = async () => {
    const configs = brokerConfigs(brokerInformer.list());
    const triggers = await triggerConfigs();
    await brokers.set({ brokers: configs, triggers });
    for (const config of configs) await report(BrokerKind, brokerInformer.get(config), brokers.served(config));
    for (const config of triggers) {
      await report(TriggerKind, triggerInformer.get(config), brokers.subscribed(config));
    }
  };

  /** One that cannot be understood is served as it was, if it was, and says so; the others are what they are. */
  const triggerConfigs = async () => {
    const configs: TriggerConfig[] = [];
    for (const trigger of triggerInformer.list()) {
      if (trigger.metadata.deletionTimestamp !== undefined) continue;
      try {
        configs.push(triggerConfig(trigger, brokerInformer.get(brokerKey(trigger))));
      } catch (error) {
        const known = brokers.knownTrigger(trigger.metadata.uid);
        if (known) configs.push(known);
        await report(TriggerKind, trigger, { uid: trigger.metadata.uid ?? '', error: messageOf(error) });
      }
    }
    return configs;
  };

  const report = async <T extends Broker | Trigger>(kind: Kind<T>, object: T | undefined, served?: Served) => {
    if (!object || !served) return;
    const annotations = annotationsOf(served);
    const stored = object.status?.annotations ?? {};
    if (Object.entries(annotations).every(([name, value]) => (stored[name] ?? null) === value)) return;
    const patch = { metadata: { uid: object.metadata.uid }, status: { annotations } };
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
  Promise.all([brokerInformer.synced, triggerInformer.synced]).then(() => {
    isSynced = true;
    schedule();
  }, tryAgain);
  return {
    schedule,
    async stop() {
      isStopped = true;
      await Promise.all([brokerInformer.stop(), triggerInformer.stop()]);
    },
  };
}

/** What the status says of it; null for what it does not say any more. */
function annotationsOf({ uid, error, setAside = [] }: Served): Record<string, string | null> {
  return {
    [servingAnnotation]: error === undefined ? uid : servingError(error),
    [setAsideAnnotation]: setAside.length === 0 ? null : setAside.slice(0, setAsideShown).join('\n'),
  };
}

const brokerKey = (trigger: Trigger) => ({
  namespace: trigger.metadata.namespace ?? '',
  name: trigger.spec.broker ?? '',
});
