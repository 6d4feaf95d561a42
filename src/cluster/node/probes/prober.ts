import type { Probe } from '../../../api/core/pod-spec.ts';
import { type Clock, sleep } from '../../../lib/clock.ts';
import type { Check } from './check.ts';

export interface ProberOptions {
  probe: Probe;
  check: Check;
  clock: Clock;
  signal: AbortSignal;
  /** Until it first succeeds, probe as often as is useful (readiness, startup), not once a period (liveness). */
  isEager: boolean;
  /** The probe has passed or failed its threshold: when that changes, and at each further threshold of failures. */
  onResult(isSuccess: boolean, message: string): void;
  /** A single probe failed, at most once a period. */
  onFailure(message: string): void;
  /** A probe succeeded, and yet there is something to say. */
  onWarning?(message: string): void;
}

const stepMinMs = 1;
const stepMaxMs = 50;

/**
 * Probes until `signal` aborts, by Kubernetes' rules of thresholds and periods. An eager probe that has not succeeded
 * yet is repeated in steps of 5 % of the time waited so far, from 1 to 50 ms: what a start takes is seen within 5 % of
 * it. Its failures count once a period, so that `failureThreshold` means the same time as in Kubernetes.
 */
export async function runProbe(options: ProberOptions): Promise<void> {
  const { probe, check, clock, signal, isEager } = options;
  const periodMs = (probe.periodSeconds || 10) * 1000;
  const successThreshold = probe.successThreshold || 1;
  const failureThreshold = probe.failureThreshold || 3;
  // When aborted it just returns: the loop looks at `signal`.
  const pause = (delayMs: number) => sleep(clock, delayMs, signal).catch(() => undefined);

  await pause((probe.initialDelaySeconds ?? 0) * 1000);
  const begunMs = clock.monotonic();
  let nextCountMs = begunMs + periodMs;
  let hasSucceeded = false;
  let successes = 0;
  let failures = 0;
  let isPassing: boolean | undefined;
  while (!signal.aborted) {
    const checkedMs = clock.monotonic();
    const result = await check();
    if (signal.aborted) return;
    if (result.isSuccess) {
      hasSucceeded = true;
      if (result.warning !== undefined) options.onWarning?.(result.warning);
      failures = 0;
      if (++successes >= successThreshold && isPassing !== true) {
        isPassing = true;
        options.onResult(true, '');
      }
    } else {
      successes = 0;
      if (!isEager || hasSucceeded || clock.monotonic() >= nextCountMs) {
        nextCountMs = clock.monotonic() + periodMs;
        options.onFailure(result.message);
        if (++failures % failureThreshold === 0) {
          isPassing = false;
          options.onResult(false, result.message);
        }
      }
    }
    const now = clock.monotonic();
    const isHurrying = isEager && !hasSucceeded;
    const stepMs = Math.min(stepMaxMs, Math.max(stepMinMs, (now - begunMs) / 20));
    await pause(isHurrying ? stepMs : Math.max(0, periodMs - (now - checkedMs)));
  }
}
