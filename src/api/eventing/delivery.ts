import { type FieldError, fieldInvalid, fieldNotSupported } from '../field-error.ts';
import { integer, object, type Schema, string, type ValueOf } from '../schema.ts';
import { defaultDestination, destinationSchema, validateDestination } from './destination.ts';
import { isoDurationMs } from './duration.ts';

export const deliverySchema = object(
  {
    deadLetterSink: { ...destinationSchema, description: 'Receives events that could not be delivered.' },
    /** Attempts after the first. */
    retry: integer({ format: 'int32', description: 'Attempts after the first.' }),
    /** ISO 8601; of each attempt. */
    timeout: string({ description: 'ISO 8601 duration of each attempt, for example PT30S.' }),
    backoffPolicy: string({ description: '"linear" or "exponential".' }) as Schema<'linear' | 'exponential'>,
    /** ISO 8601; docs/reference/eventing.md says what the delays are. */
    backoffDelay: string({
      description:
        'ISO 8601 duration: before retry n (from 1) wait n times this (linear), or 2^(n-1) times (exponential).',
    }),
    backoffMax: string({ description: 'ISO 8601 duration: the longest wait between two attempts.' }),
    /** ISO 8601; `PT0S` ignores the header. */
    retryAfterMax: string({ description: 'ISO 8601 duration: the longest Retry-After (429, 503) that is honoured.' }),
    /** Binary unless given. */
    format: string({ description: '"binary" or "json": the content mode of deliveries.' }) as Schema<'binary' | 'json'>,
  },
  { description: 'How events are delivered: retries, timeout, dead letters.' },
);

/** How an event that a receiver refuses is tried again, and where it goes at last (Knative's DeliverySpec). */
export interface DeliverySpec extends ValueOf<typeof deliverySchema> {}

/** Fills in what `delivery` leaves out, for an object in `namespace`; changes `delivery`. */
export function defaultDelivery(delivery: DeliverySpec | undefined, namespace: string | undefined): void {
  defaultDestination(delivery?.deadLetterSink, namespace);
}

/** What is wrong with `delivery`, which stands at `field`. */
export function validateDelivery(field: string, delivery: DeliverySpec | undefined): FieldError[] {
  if (!delivery) return [];
  const errors: FieldError[] = [];
  if (delivery.deadLetterSink) errors.push(...validateDestination(`${field}.deadLetterSink`, delivery.deadLetterSink));
  if (delivery.retry !== undefined && (delivery.retry < 0 || delivery.retry > 1000)) {
    errors.push(fieldInvalid(`${field}.retry`, delivery.retry, 'must be from 0 to 1000'));
  }
  if (delivery.backoffPolicy !== undefined && !['linear', 'exponential'].includes(delivery.backoffPolicy)) {
    errors.push(fieldNotSupported(`${field}.backoffPolicy`, delivery.backoffPolicy, ['linear', 'exponential']));
  }
  if (delivery.format !== undefined && !['binary', 'json'].includes(delivery.format)) {
    errors.push(fieldNotSupported(`${field}.format`, delivery.format, ['binary', 'json']));
  }
  for (const name of ['timeout', 'backoffDelay', 'backoffMax', 'retryAfterMax'] as const) {
    errors.push(...validateDuration(`${field}.${name}`, delivery[name], name === 'timeout' || name === 'backoffMax'));
  }
  return errors;
}

function validateDuration(field: string, value: string | undefined, mustBePositive: boolean): FieldError[] {
  if (value === undefined) return [];
  const durationMs = isoDurationMs(value);
  if (durationMs === undefined) {
    return [fieldInvalid(field, value, 'must be an ISO 8601 duration of weeks, days or time, for example "PT0.2S"')];
  }
  return mustBePositive && durationMs === 0 ? [fieldInvalid(field, value, 'must be longer than zero')] : [];
}
