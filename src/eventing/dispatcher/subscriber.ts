import type { DeliverySpec } from '../../api/eventing/delivery.ts';
import { isoDurationMs } from '../../api/eventing/duration.ts';

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

const minutes = 60_000;

export function deliveryConfig(spec: DeliverySpec): DeliveryConfig {
  const ms = (text: string | undefined) => (text === undefined ? undefined : isoDurationMs(text));
  return {
    retries: spec.retry ?? 0,
    policy: spec.backoffPolicy ?? 'exponential',
    delayMs: ms(spec.backoffDelay) ?? 0,
    delayMaxMs: ms(spec.backoffMax) ?? Number.MAX_SAFE_INTEGER,
    timeoutMs: ms(spec.timeout) ?? 10 * minutes,
    retryAfterMaxMs: ms(spec.retryAfterMax) ?? 10 * minutes,
    format: spec.format ?? 'binary',
  };
}
