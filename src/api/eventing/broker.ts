import { sameJson } from '../../lib/same-json.ts';
import { type FieldError, fieldForbidden } from '../field-error.ts';
import { ageColumn, conditionColumns, defineKind } from '../kind.ts';
import { type KubeObject, statusFields } from '../meta.ts';
import { object, string, type ValueOf } from '../schema.ts';
import { defaultDelivery, deliverySchema, validateDelivery } from './delivery.ts';
import { addressableFields, referenceSchema } from './destination.ts';

const brokerClassAnnotation = 'eventing.knative.dev/broker.class';

/** The classes that this broker serves; the first is the default, as in Knative: manifests need no change. */
const brokerClasses = ['MTChannelBasedBroker', 'Kittiwake'] as const;

export const isOurBroker = (broker: KubeObject): boolean => {
  const name = broker.metadata.annotations?.[brokerClassAnnotation] ?? brokerClasses[0];
  return brokerClasses.some((ours) => ours === name);
};

const specSchema = object({
  config: { ...referenceSchema, description: 'Kept as given; the log of this broker needs no configuration.' },
  delivery: deliverySchema,
});

const statusSchema = object({
  ...statusFields,
  ...addressableFields,
  deadLetterSinkUri: string(),
  deadLetterSinkCACerts: string(),
  deadLetterSinkAudience: string(),
  policies: { type: 'array', items: object({ name: string(), apiVersion: string() }) },
});

const brokerSchema = object({ spec: specSchema, status: statusSchema }, { present: ['spec'] });

/** Accepts events at its address and keeps them, durably, until every Trigger is done with them. */
export interface Broker extends KubeObject, ValueOf<typeof brokerSchema> {}

export const BrokerKind = defineKind<Broker>({
  group: 'eventing.knative.dev',
  version: 'v1',
  kind: 'Broker',
  categories: ['all', 'knative', 'eventing'],
  schema: brokerSchema,
  columns: [{ name: 'URL', type: 'string', jsonPath: '.status.address.url' }, ageColumn, ...conditionColumns('Ready')],
  setDefaults(broker, { old }) {
    broker.metadata.annotations ??= {};
    const annotations = broker.metadata.annotations;
    annotations[brokerClassAnnotation] ??= old?.metadata.annotations?.[brokerClassAnnotation] ?? brokerClasses[0];
    broker.spec ??= {};
    broker.spec.delivery ??= {};
    const delivery = broker.spec.delivery;
    delivery.retry ??= 10;
    delivery.backoffPolicy ??= 'exponential';
    delivery.backoffDelay ??= 'PT0.2S';
    if (broker.spec.config && broker.metadata.namespace !== undefined) {
      broker.spec.config.namespace ??= broker.metadata.namespace;
    }
    defaultDelivery(delivery, broker.metadata.namespace);
  },
  validate(broker, { old }) {
    return [...validateDelivery('spec.delivery', broker.spec.delivery), ...validateImmutable(broker, old)];
  },
});

function validateImmutable(broker: Broker, old: Broker | undefined): FieldError[] {
  if (!old) return [];
  const errors: FieldError[] = [];
  const was = old.metadata.annotations?.[brokerClassAnnotation];
  const is = broker.metadata.annotations?.[brokerClassAnnotation];
  if (was !== undefined && is !== was) {
    const field = `metadata.annotations[${brokerClassAnnotation}]`;
    errors.push(fieldForbidden(field, `cannot change from "${was}" to "${is}": delete the broker and create it anew`));
  }
  if (!sameJson(old.spec.config, broker.spec.config)) {
    errors.push(fieldForbidden('spec.config', 'cannot change: delete the broker and create it anew'));
  }
  return errors;
}
