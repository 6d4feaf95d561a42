import type { Clock } from '../lib/clock.ts';
import { Endpoint } from './endpoint.ts';
import { type Policy, policyFor } from './policies.ts';
import { RevisionCounters } from './revision-counters.ts';
import type { EndpointAddress, Target } from './routes/change.ts';

/** A request that waits for a slot. The links belong to the queue: undefined while it is not in it. */
export interface Waiter {
  /** The slot at `endpoint` is this waiter's, until it calls `release`. */
  start(endpoint: Endpoint): void;
  /** It waits no longer: no route leads to the backend any more. */
  reroute(): void;
  previousWaiter: Waiter | undefined;
  nextWaiter: Waiter | undefined;
  isQueued: boolean;
}

export interface BackendOptions {
  clock: Clock;
  queueMax: number;
  /** A request met a backend that has nothing to run it. */
  onDemand: (backend: Backend) => void;
  random?: () => number;
}

/**
 * One port of a Service as the gateway sees it: its endpoints, a slot for each request that may run at once, and the
 * queue of those that may not yet.
 *
 *   acquire ──▶ slot ─────────────▶ release
 *       └─────▶ queue ──▶ start ──▶ release        (or cancel, while queued)
 *                   └───▶ reroute (after `leave`)
 *
 * Invariant: nobody waits while a ready endpoint has a free slot and is not resting.
 */
export class Backend {
  target!: Target;
  readonly counters: RevisionCounters;
  queued = 0;
  #options: BackendOptions;
  #policy!: Policy;
  #capacity!: number;
  #turn = 0;
  #hasLeft!: boolean;
  #isPumping = false;
  #ready: Endpoint[] = [];
  /** Also those that finish their last requests. */
  readonly #known = new Map<string, Endpoint>();
  #first: Waiter | undefined;
  #last: Waiter | undefined;
  #cancelWake: (() => void) | undefined;

  constructor(target: Target, options: BackendOptions) {
    this.#options = options;
    this.counters = new RevisionCounters(options.clock.monotonic());
    this.update(target);
  }

  get hasReadyEndpoints(): boolean {
    return this.#ready.length > 0;
  }

  /** Ready and draining ones. */
  endpoints(): IterableIterator<Endpoint> {
    return this.#known.values();
  }

  /** Takes over new limits and addresses; endpoints that are gone from `target` finish what they have. */
  update(target: Target): void {
    this.target = target;
    this.#hasLeft = false;
    this.#policy = policyFor(target.containerConcurrency);
    this.#capacity = target.containerConcurrency;
    const wanted = new Map(target.endpoints.map((address) => [keyOf(address), address]));
    for (const [key, endpoint] of this.#known) {
      endpoint.isReady = wanted.has(key);
      if (endpoint.isReady) continue;
      endpoint.pool?.closeIdle();
      if (endpoint.inFlight === 0) this.#known.delete(key);
    }
    for (const [key, { host, port, protocol }] of wanted) {
      if (!this.#known.has(key)) this.#known.set(key, new Endpoint(host, port, protocol));
    }
    this.#ready = [...this.#known.values()].filter((endpoint) => endpoint.isReady);
    this.pump();
    // Who could wake it may only be known by now.
    if (this.queued > 0 && this.#ready.length === 0) this.#options.onDemand(this);
  }

  /** No route leads here any more: what runs ends, what waits goes elsewhere. */
  leave(): void {
    this.update({ ...this.target, endpoints: [] });
    this.#hasLeft = true;
    for (let waiter = this.#first; waiter !== undefined; waiter = this.#first) {
      this.#remove(waiter);
      waiter.reroute();
    }
  }

  /** A slot at once, or a place in the queue (`start` is called later), or 'full'. */
  acquire(waiter: Waiter): Endpoint | 'queued' | 'full' {
    if (this.#first === undefined) {
      const endpoint = this.#choose();
      if (endpoint !== undefined) {
        endpoint.inFlight++;
        return endpoint;
      }
    }
    if (this.queued >= this.#options.queueMax) return 'full';
    this.#append(waiter);
    if (this.#ready.length === 0) this.#options.onDemand(this);
    return 'queued';
  }

  /** Gives up a slot after a failed connect and takes the head of the queue. */
  retry(waiter: Waiter, endpoint: Endpoint): void {
    endpoint.inFlight--;
    this.#forgetDrained(endpoint);
    endpoint.connectFailed(this.#options.clock.monotonic());
    if (this.#hasLeft) {
      waiter.reroute();
      return;
    }
    this.#prepend(waiter);
    if (this.#ready.length === 0) this.#options.onDemand(this);
    this.pump();
  }

  cancel(waiter: Waiter): void {
    if (waiter.isQueued) this.#remove(waiter);
  }

  release(endpoint: Endpoint): void {
    endpoint.inFlight--;
    this.#forgetDrained(endpoint);
    this.pump();
  }

  /** Starts waiting requests while there are slots; those of requests that end as they start are for the same loop. */
  pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    try {
      this.#startWaiting();
    } finally {
      this.#isPumping = false;
    }
  }

  #startWaiting(): void {
    while (this.#first !== undefined) {
      const endpoint = this.#choose();
      if (endpoint === undefined) {
        this.#wakeWhenRested();
        return;
      }
      const waiter = this.#first;
      this.#remove(waiter);
      endpoint.inFlight++;
      waiter.start(endpoint);
    }
  }

  close(): void {
    this.#cancelWake?.();
    for (const endpoint of this.#known.values()) endpoint.pool?.closeIdle();
  }

  #choose(): Endpoint | undefined {
    const ready = this.#ready;
    const random = this.#options.random ?? Math.random;
    const chosen = this.#policy(ready, this.#capacity, this.#turn++, random);
    if (chosen === undefined || chosen.restsUntilMs === 0) return chosen;
    const nowMs = this.#options.clock.monotonic();
    const rested = ready.filter((endpoint) => endpoint.restsUntilMs <= nowMs);
    return this.#policy(rested, this.#capacity, this.#turn, random);
  }

  /** Resting endpoints get another try when the first of them has rested. */
  #wakeWhenRested(): void {
    if (this.#cancelWake !== undefined) return;
    const { clock } = this.#options;
    const nowMs = clock.monotonic();
    const resting = this.#ready.filter((endpoint) => endpoint.restsUntilMs > nowMs);
    if (resting.length === 0) return;
    const untilMs = Math.min(...resting.map((endpoint) => endpoint.restsUntilMs));
    this.#cancelWake = clock.after(untilMs - nowMs + 1, () => {
      this.#cancelWake = undefined;
      this.pump();
    });
  }

  #forgetDrained(endpoint: Endpoint): void {
    if (!endpoint.isReady && endpoint.inFlight === 0) this.#known.delete(keyOf(endpoint));
  }

  #append(waiter: Waiter): void {
    waiter.previousWaiter = this.#last;
    if (this.#last === undefined) this.#first = waiter;
    else this.#last.nextWaiter = waiter;
    this.#last = waiter;
    waiter.isQueued = true;
    this.queued++;
  }

  #prepend(waiter: Waiter): void {
    waiter.nextWaiter = this.#first;
    if (this.#first === undefined) this.#last = waiter;
    else this.#first.previousWaiter = waiter;
    this.#first = waiter;
    waiter.isQueued = true;
    this.queued++;
  }

  #remove(waiter: Waiter): void {
    if (waiter.previousWaiter === undefined) this.#first = waiter.nextWaiter;
    else waiter.previousWaiter.nextWaiter = waiter.nextWaiter;
    if (waiter.nextWaiter === undefined) this.#last = waiter.previousWaiter;
    else waiter.nextWaiter.previousWaiter = waiter.previousWaiter;
    waiter.previousWaiter = undefined;
    waiter.nextWaiter = undefined;
    waiter.isQueued = false;
    this.queued--;
  }
}

function keyOf({ host, port, protocol = 'http1' }: EndpointAddress): string {
  return `${host} ${port} ${protocol}`;
}
