import { type BackoffPolicy, backoffDelayMs } from '../../../lib/backoff.ts';

/** Kubernetes' back-off of restarts and pulls: 10 s, 20 s, 40 s … 5 min. */
const policy: BackoffPolicy = { firstMs: 10_000, maxMs: 300_000, factor: 2 };
/** A container that ran this long starts with a clean slate. */
const resetAfterMs = 600_000;

/** Whether a container that ended is to run again. */
export function shouldRestart(restartPolicy: string | undefined, exitCode: number): boolean {
  if (restartPolicy === 'Never') return false;
  return restartPolicy === 'OnFailure' ? exitCode !== 0 : true;
}

/** The delays between the runs of one container: the first restart comes at once. */
export class RestartBackoff {
  #restarts = 0;

  /** The delay in milliseconds before the next run, after one that lasted `ranMs`: 0, 10 000, 20 000, 40 000 … */
  next(ranMs: number): number {
    if (ranMs >= resetAfterMs) this.#restarts = 0;
    const restart = this.#restarts++;
    return restart === 0 ? 0 : backoffDelayMs(policy, restart - 1);
  }
}

/** The delay before pull number `attempt` (0 is the second pull): 10 s, 20 s … 5 min. */
export const pullBackoffMs = (attempt: number): number => backoffDelayMs(policy, attempt);

/** The delay before trying again to make a container that could not be made: a ConfigMap may come, an image change. */
export const createBackoffMs = (attempt: number): number =>
  backoffDelayMs({ firstMs: 1_000, maxMs: 30_000, factor: 2 }, attempt);

/** `40s`, `5m0s`: as Go prints durations, which kubectl users know from back-off messages. */
export function goSeconds(ms: number): string {
  const seconds = Math.round(ms / 1000);
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`;
}
