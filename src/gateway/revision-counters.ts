/** Upper bounds of the latency buckets in milliseconds; the last bucket is unbounded. */
export const latencyBucketsMs = [1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000] as const;

/** How a request ended: the class of its status, or the client left before the end. */
export const outcomes = ['1xx', '2xx', '3xx', '4xx', '5xx', 'client_closed'] as const;
export const clientClosed = 5;

/**
 * What is counted of one revision's requests: plain numbers, as this is on the path of every request.
 *
 * Average concurrency over a period = Σ (requests at once × time) / period. Example: two requests, one in flight for a
 * whole second and one for a quarter of it: (1 × 0.75 + 2 × 0.25) / 1 = 1.25.
 */
export class RevisionCounters {
  /** Arrived and not ended; queued ones included. */
  active = 0;
  readonly ended = new Float64Array(outcomes.length);
  readonly latency = new Float64Array(latencyBucketsMs.length + 1);
  latencySumMs = 0;
  connectFailures = 0;
  badReplies = 0;
  rejected = 0;
  #arrivals = 0;
  #weighted = 0;
  #changedMs: number;
  #periodStartMs: number;

  constructor(nowMs: number) {
    this.#changedMs = nowMs;
    this.#periodStartMs = nowMs;
  }

  arrive(nowMs: number): void {
    this.#weighted += this.active * (nowMs - this.#changedMs);
    this.#changedMs = nowMs;
    this.active++;
    this.#arrivals++;
  }

  /** One that has arrived goes elsewhere. */
  leave(nowMs: number): void {
    this.#weighted += this.active * (nowMs - this.#changedMs);
    this.#changedMs = nowMs;
    this.active--;
  }

  /** `outcome` is an index of `outcomes`. */
  end(nowMs: number, durationMs: number, outcome: number): void {
    this.leave(nowMs);
    this.ended[outcome] = (this.ended[outcome] ?? 0) + 1;
    const bucket = bucketOf(durationMs);
    this.latency[bucket] = (this.latency[bucket] ?? 0) + 1;
    this.latencySumMs += durationMs;
  }

  /** Ends the period that began with the last call. */
  cut(nowMs: number): { averageConcurrency: number; requestCount: number } {
    this.#weighted += this.active * (nowMs - this.#changedMs);
    const elapsedMs = nowMs - this.#periodStartMs;
    const averageConcurrency = elapsedMs <= 0 ? this.active : this.#weighted / elapsedMs;
    const requestCount = this.#arrivals;
    this.#weighted = 0;
    this.#arrivals = 0;
    this.#changedMs = nowMs;
    this.#periodStartMs = nowMs;
    return { averageConcurrency, requestCount };
  }
}

function bucketOf(durationMs: number): number {
  let bucket = 0;
  while (bucket < latencyBucketsMs.length && durationMs > (latencyBucketsMs[bucket] ?? 0)) bucket++;
  return bucket;
}
