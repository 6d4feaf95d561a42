/** How long to wait before each retry: grows by `factor` from `firstMs` up to `maxMs`, then stays. */
export interface BackoffPolicy {
  firstMs: number;
  maxMs: number;
  factor: number;
}

/**
 * The delay in milliseconds before retry number `attempt` (0 is the first retry).
 * Example: {firstMs: 5, maxMs: 1000, factor: 2} gives 5, 10, 20 … 1000, 1000.
 */
export function backoffDelayMs(policy: BackoffPolicy, attempt: number): number {
  return Math.min(policy.maxMs, policy.firstMs * policy.factor ** Math.min(attempt, 64));
}

/** The same delay, spread over [75 %, 125 %] by `random` in [0, 1), so that many retries do not meet. */
export function jitteredBackoffDelayMs(policy: BackoffPolicy, attempt: number, random: number): number {
  return backoffDelayMs(policy, attempt) * (0.75 + random / 2);
}
