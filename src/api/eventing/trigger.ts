import { type FieldError, fieldForbidden, fieldInvalid, fieldRequired } from '../field-error.ts';
import { ageColumn, conditionColumns, defineKind } from '../kind.ts';
import { type KubeObject, statusFields } from '../meta.ts';
import { array, map, object, string, type ValueOf } from '../schema.ts';
import { defaultDelivery, deliverySchema, validateDelivery } from './delivery.ts';
import {
  defaultDestination,
  destinationSchema,
  type KReference,
  referenceSchema,
  validateDestination,
} from './destination.ts';
import { filterSchema, validateAttributes, validateFilter } from './filter.ts';

const triggerBrokerLabel = 'eventing.knative.dev/broker';
export const dependencyAnnotation = 'knative.dev/dependency';

const specSchema = object(
  {
    broker: string({ description: 'The broker, in the same namespace, whose events this trigger receives.' }),
    brokerRef: referenceSchema,
    /** The old form: `attributes` must all equal; `""` means present and not empty. `filters` wins over it. */
    filter: object({ attributes: map(string(), { description: 'Attributes that must equal these values.' }) }),
    filters: array(filterSchema, { description: 'All must match; wins over `filter`.' }),
    subscriber: { ...destinationSchema, description: 'Receives the events; its reply goes back to the broker.' },
    delivery: deliverySchema,
  },
  { required: ['subscriber'] },
);

export interface TriggerSpec extends ValueOf<typeof specSchema> {}

const statusSchema = object({
  ...statusFields,
  subscriberUri: string(),
  subscriberCACerts: string(),
  subscriberAudience: string(),
  deadLetterSinkUri: string(),
  deadLetterSinkCACerts: string(),
  deadLetterSinkAudience: string(),
});

const triggerSchema = object({ spec: specSchema, status: statusSchema }, { present: ['spec'] });

/** Sends a broker's events that pass its filters to a subscriber. */
export interface Trigger extends KubeObject, ValueOf<typeof triggerSchema> {}

export const TriggerKind = defineKind<Trigger>({
  group: 'eventing.knative.dev',
  version: 'v1',
  kind: 'Trigger',
  categories: ['all', 'knative', 'eventing'],
  schema: triggerSchema,
  columns: [
    { name: 'Broker', type: 'string', jsonPath: '.spec.broker' },
    { name: 'Subscriber_URI', type: 'string', jsonPath: '.status.subscriberUri' },
    ageColumn,
    ...conditionColumns('Ready'),
  ],
  setDefaults(trigger) {
    trigger.spec ??= { subscriber: {} };
    trigger.spec.filter ??= {};
    if (trigger.spec.broker) {
      trigger.metadata.labels = { ...trigger.metadata.labels, [triggerBrokerLabel]: trigger.spec.broker };
    }
    defaultDestination(trigger.spec.subscriber, trigger.metadata.namespace);
    defaultDelivery(trigger.spec.delivery, trigger.metadata.namespace);
  },
  validate(trigger, { old }) {
    const { spec } = trigger;
    return [
      ...validateBroker(spec, old?.spec),
      ...validateAttributes('spec.filter.attributes', spec.filter?.attributes ?? {}),
      ...(spec.filters ?? []).flatMap((filter, i) => validateFilter(`spec.filters[${i}]`, filter)),
      ...validateDestination('spec.subscriber', spec.subscriber),
      ...validateDelivery('spec.delivery', spec.delivery),
      ...validateDependency(trigger.metadata.annotations?.[dependencyAnnotation]),
    ];
  },
});

function validateBroker(spec: TriggerSpec, old: TriggerSpec | undefined): FieldError[] {
  if (spec.brokerRef) {
    return [fieldForbidden('spec.brokerRef', "brokers of other namespaces are not supported: use 'spec.broker'")];
  }
  if (!spec.broker) return [fieldRequired('spec.broker', 'name a broker of the same namespace, for example "default"')];
  if (old?.broker && old.broker !== spec.broker) {
    const what = `cannot change from "${old.broker}" to "${spec.broker}"`;
    return [fieldForbidden('spec.broker', `${what}: delete the trigger and create it anew`)];
  }
  return [];
}

/** What `knative.dev/dependency` holds: the object whose readiness the trigger waits for. */
export function parseDependency(text: string): KReference | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null) return undefined;
    const { apiVersion, kind, name, namespace } = value as Record<string, unknown>;
    if (typeof apiVersion !== 'string' || typeof kind !== 'string' || typeof name !== 'string') return undefined;
    return { apiVersion, kind, name, ...(typeof namespace === 'string' ? { namespace } : {}) };
  } catch {
    // Text that is not JSON is no reference either: the caller reports both alike.
    return undefined;
  }
}

function validateDependency(text: string | undefined): FieldError[] {
  if (text === undefined || parseDependency(text)) return [];
  const remedy = 'must be JSON such as {"apiVersion":"sources.knative.dev/v1","kind":"PingSource","name":"ping"}';
  return [fieldInvalid(`metadata.annotations[${dependencyAnnotation}]`, text, remedy)];
}
