import { type Broker, isOurBroker } from '../../api/eventing/broker.ts';
import type { DeliverySpec } from '../../api/eventing/delivery.ts';
import { isoDurationMs } from '../../api/eventing/duration.ts';
import type { Trigger, TriggerSpec } from '../../api/eventing/trigger.ts';

/** What the data path needs to know of a Broker. Plain data: it is kept on disk for starts without an API server. */
export interface BrokerConfig {
  namespace: string;
  name: string;
  uid: string;
}

export interface TriggerConfig extends SubscriberConfig {
  uid: string;
  broker: string;
  filter: Pick<TriggerSpec, 'filter' | 'filters'>;
}

/** To whom events are delivered, and how: what is the same for all that subscribe. */
export interface SubscriberConfig {
  namespace: string;
  name: string;
  /** Absent until the subscriber is resolved: the place in the log is kept. */
  subscriber?: Endpoint;
  /** Absent when there is none; without `uri` while it is not resolved. */
  deadLetterSink?: Partial<Endpoint>;
  delivery: DeliveryConfig;
}

export interface Endpoint {
  uri: string;
  ca?: string;
}

export interface DeliveryConfig {
  /** Attempts after the first. */
  retries: number;
  policy: 'linear' | 'exponential';
  delayMs: number;
  delayMaxMs: number;
  timeoutMs: number;
  retryAfterMaxMs: number;
  format: 'binary' | 'json';
}

export const deliveryDefaults = { timeoutMs: 600_000, retryAfterMaxMs: 600_000 };

/** The brokers among `brokers` that this data path serves. */
export function brokerConfigs(brokers: readonly Broker[]): BrokerConfig[] {
  return brokers
    .filter((broker) => isOurBroker(broker) && broker.metadata.deletionTimestamp === undefined)
    .map(({ metadata }) => ({
      namespace: metadata.namespace ?? '',
      name: metadata.name,
      uid: metadata.uid ?? '',
    }));
}

/** A trigger's own delivery replaces its broker's as a whole, but for the dead letter sink (Knative's rule). */
export function triggerConfig(trigger: Trigger, broker: Broker | undefined): TriggerConfig {
  const { metadata, spec, status } = trigger;
  const hasSink = spec.delivery?.deadLetterSink ?? broker?.spec.delivery?.deadLetterSink;
  return {
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    uid: metadata.uid ?? '',
    broker: spec.broker ?? '',
    filter: { ...(spec.filter && { filter: spec.filter }), ...(spec.filters && { filters: spec.filters }) },
    ...(status?.subscriberUri && { subscriber: endpoint(status.subscriberUri, status.subscriberCACerts) }),
    ...(hasSink && {
      deadLetterSink: status?.deadLetterSinkUri ? endpoint(status.deadLetterSinkUri, status.deadLetterSinkCACerts) : {},
    }),
    delivery: deliveryConfig(spec.delivery ?? broker?.spec.delivery ?? {}),
  };
}

function endpoint(uri: string, ca: string | undefined): Endpoint {
  return ca === undefined ? { uri } : { uri, ca };
}

function deliveryConfig(spec: DeliverySpec): DeliveryConfig {
  const ms = (text: string | undefined) => (text === undefined ? undefined : isoDurationMs(text));
  return {
    retries: spec.retry ?? 0,
    policy: spec.backoffPolicy ?? 'exponential',
    delayMs: ms(spec.backoffDelay) ?? 0,
    delayMaxMs: ms(spec.backoffMax) ?? Number.MAX_SAFE_INTEGER,
    timeoutMs: ms(spec.timeout) ?? deliveryDefaults.timeoutMs,
    retryAfterMaxMs: ms(spec.retryAfterMax) ?? deliveryDefaults.retryAfterMaxMs,
    format: spec.format ?? 'binary',
  };
}
