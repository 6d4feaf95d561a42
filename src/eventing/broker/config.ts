import { type Broker, isOurBroker } from '../../api/eventing/broker.ts';
import type { Trigger, TriggerSpec } from '../../api/eventing/trigger.ts';
import { deliveryConfig, type Endpoint, type SubscriberConfig } from '../dispatcher/subscriber.ts';

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

/** The brokers among `brokers` that this data path serves. */
export function brokerConfigs(brokers: readonly Broker[]): BrokerConfig[] {
  return brokers
    .filter((broker) => isOurBroker(broker) && broker.metadata.deletionTimestamp === undefined)
    .map(identity);
}

/** A trigger's own delivery replaces its broker's as a whole, but for the dead letter sink (Knative's rule). */
export function triggerConfig(trigger: Trigger, broker: Broker | undefined): TriggerConfig {
  const { spec, status } = trigger;
  const hasSink = spec.delivery?.deadLetterSink ?? broker?.spec.delivery?.deadLetterSink;
  return {
    ...identity(trigger),
    broker: spec.broker ?? '',
    filter: { ...(spec.filter && { filter: spec.filter }), ...(spec.filters && { filters: spec.filters }) },
    ...(status?.subscriberUri && { subscriber: endpoint(status.subscriberUri, status.subscriberCACerts) }),
    ...(hasSink && {
      deadLetterSink: status?.deadLetterSinkUri ? endpoint(status.deadLetterSinkUri, status.deadLetterSinkCACerts) : {},
    }),
    delivery: deliveryConfig(spec.delivery ?? broker?.spec.delivery ?? {}),
  };
}

const identity = ({ metadata: { namespace = '', name, uid = '' } }: Broker | Trigger) => ({ namespace, name, uid });

const endpoint = (uri: string, ca: string | undefined): Endpoint => (ca === undefined ? { uri } : { uri, ca });
