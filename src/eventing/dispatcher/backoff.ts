import type { DeliveryConfig } from './subscriber.ts';

/**
 * How long to wait before retry number `retry` (1 is the first): `delay * 2^(retry-1)` when exponential, `delay *
 * retry` when linear, never more than the delivery's maximum. Implementations of Knative differ by one step here:
 * exponential is that of its channel-based broker (0.2 s gives 0.2, 0.4, 0.8), linear that of its Kafka broker (0.2,
 * 0.4, 0.6).
 */
export function retryDelayMs(delivery: DeliveryConfig, retry: number): number {
  const factor = delivery.policy === 'exponential' ? 2 ** Math.min(retry - 1, 62) : retry;
  return Math.min(delivery.delayMs * factor, delivery.delayMaxMs);
}

/** The wait that a Retry-After header asks for, in seconds or as a date (RFC 9110 §10.2.3); 0 when it is neither. */
export function retryAfterMs(header: string | undefined, now: number): number {
  if (header === undefined) return 0;
  if (/^\d{1,9}$/.test(header)) return Number(header) * 1000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? 0 : Math.max(0, date - now);
}
