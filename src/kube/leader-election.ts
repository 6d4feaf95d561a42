import { type Lease, LeaseKind } from '../api/coordination/lease.ts';
import { type Key, microTime } from '../api/meta.ts';
import { isAlreadyExists, isConflict } from '../api/status.ts';
import { type Clock, sleep } from '../lib/clock.ts';
import { messageOf } from '../lib/errors.ts';
import type { Logger } from '../observe/log.ts';
import type { Client } from './client.ts';

export interface LeaderElectionOptions {
  client: Client;
  clock: Clock;
  log: Logger;
  /** The Lease that candidates compete for; made when it is not there. */
  lease: Key;
  /** Of this process, and of no other, now or later. */
  identity: string;
  /** A leader that has not been heard of for this long leads no more; 15 s unless given. Whole seconds. */
  leaseMs?: number;
  /** A leader that could not renew for this long ends what it does; 10 s unless given. Less than `leaseMs`. */
  renewDeadlineMs?: number;
  /** Between attempts; 2 s unless given. */
  retryMs?: number;
  /**
   * Begins what only the leader may do, and says how to end it. `client` writes only while the lease is ours. What
   * throws ends the term; there may be another.
   */
  lead(client: Client): Promise<{ stop(): Promise<void> }>;
}

export interface LeaderElection {
  readonly isLeading: boolean;
  /** Ends what leads, and gives the lease to whoever wants it next. */
  stop(): Promise<void>;
}

/** What a process that is not the leader (any more) was about to write. */
export class NotLeader extends Error {}

/**
 * Leads while it holds the Lease (client-go's leader election): whoever sees the holder's record unchanged for
 * `leaseMs`, by a clock of its own, takes it.
 *
 *   candidate ── acquired ──▶ leads ── not renewed for renewDeadlineMs ──▶ ends what it does ──▶ candidate
 *                               │ leaseMs after the last renewal: writes nothing, ended or not
 *
 * A process that was stopped for a while (a debugger, a full machine) finds by its clocks that the lease is over before
 * it writes: what had left for the server by then cannot be called back.
 */
export function electLeader(options: LeaderElectionOptions): LeaderElection {
  const candidate = new Candidate(options);
  const running = candidate.run();
  return {
    get isLeading() {
      return candidate.isLeading;
    },
    async stop() {
      candidate.abort.abort();
      await running;
    },
  };
}

const notOurs = { monotonicMs: -Infinity, nowMs: -Infinity };

class Candidate {
  readonly abort = new AbortController();
  readonly #options: Required<LeaderElectionOptions>;
  /** The record as it was last seen to change, and when. */
  #observed: { version: string | undefined; atMs: number } | undefined;
  /** Until when the lease is ours, by either clock; one may stand still while the machine sleeps. */
  #ours = notOurs;
  #isTermOver = true;

  constructor(options: LeaderElectionOptions) {
    this.#options = { leaseMs: 15_000, renewDeadlineMs: 10_000, retryMs: 2_000, ...options };
  }

  get isLeading(): boolean {
    const { clock } = this.#options;
    const { monotonicMs, nowMs } = this.#ours;
    return !this.#isTermOver && clock.monotonic() < monotonicMs && clock.now() < nowMs;
  }

  async run(): Promise<void> {
    const { clock, retryMs } = this.#options;
    const { signal } = this.abort;
    while (!signal.aborted) {
      if (await this.#tryToHold()) await this.#term();
      // Rejects only when stopped, which the loop's condition sees.
      await sleep(clock, retryMs, signal).catch(() => {});
    }
    await this.#release();
  }

  /** From the lease being ours to its end, and the end of what was led. */
  async #term(): Promise<void> {
    const { identity, lead, lease, log } = this.#options;
    this.#isTermOver = false;
    log.info({ lease, identity }, 'leading');
    const leading = lead(this.#fenced());
    const failed = leading.then(() => new Promise<never>(() => {}));
    try {
      await Promise.race([this.#renew(), failed]);
      log.warn({ lease, identity }, 'leading no more');
    } catch (error) {
      log.error({ lease, err: error }, 'what leads could not be started: somebody else may try');
      await this.#release();
    }
    this.#isTermOver = true;
    const led = await leading.catch(() => undefined); // Told already.
    await led?.stop().catch((error) => log.error({ lease, err: error }, 'what has led could not be ended'));
  }

  /** Resolves when the lease is not ours any more, or not to be. */
  async #renew(): Promise<void> {
    const { clock, renewDeadlineMs, retryMs } = this.#options;
    const { signal } = this.abort;
    let renewedMs = clock.monotonic();
    while (this.isLeading && clock.monotonic() - renewedMs < renewDeadlineMs) {
      await sleep(clock, retryMs, signal).catch(() => {}); // Stopped, which is seen at once.
      if (signal.aborted || !this.isLeading) return;
      const leftMs = renewDeadlineMs - (clock.monotonic() - renewedMs);
      const sentMs = clock.monotonic();
      if (await this.#within(leftMs, this.#tryToHold())) renewedMs = sentMs;
    }
  }

  /** Whether the lease is ours after this; an attempt that takes longer than `ms` has failed. */
  async #within(ms: number, attempt: Promise<boolean>): Promise<boolean> {
    const { clock } = this.#options;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const cancel = clock.after(ms, () => resolve(false));
    const stop = () => resolve(false);
    this.abort.signal.addEventListener('abort', stop, { once: true });
    try {
      return await Promise.race([attempt, promise]);
    } finally {
      cancel();
      this.abort.signal.removeEventListener('abort', stop);
    }
  }

  /** Takes the lease, or renews it, if it is free or ours. Never rejects. */
  async #tryToHold(): Promise<boolean> {
    const { clock, leaseMs, lease, log } = this.#options;
    // From before it is asked: others count from when they see the answer.
    const until = { monotonicMs: clock.monotonic() + leaseMs, nowMs: clock.now() + leaseMs };
    try {
      if (!(await this.#hold())) return false;
      this.#ours = until;
      return true;
    } catch (error) {
      if (!isConflict(error) && !isAlreadyExists(error)) {
        log.warn({ lease, reason: messageOf(error) }, 'the lease could not be asked for: trying again');
      }
      return false;
    }
  }

  async #hold(): Promise<boolean> {
    const { client, clock, identity, lease: key, leaseMs } = this.#options;
    const renewTime = microTime(clock.now());
    const spec = { holderIdentity: identity, leaseDurationSeconds: Math.ceil(leaseMs / 1000), renewTime };
    const found = await client.get(LeaseKind, key);
    if (!found) {
      const first = { ...spec, acquireTime: renewTime, leaseTransitions: 0 };
      await client.create(LeaseKind, {
        apiVersion: 'coordination.k8s.io/v1',
        kind: 'Lease',
        metadata: key,
        spec: first,
      });
      return true;
    }
    const { resourceVersion: version } = found.metadata;
    if (this.#observed?.version !== version) this.#observed = { version, atMs: clock.monotonic() };
    const { holderIdentity, leaseDurationSeconds = 0, leaseTransitions = 0 } = found.spec ?? {};
    const isOurs = holderIdentity === identity;
    const isOver = clock.monotonic() - (this.#observed?.atMs ?? 0) >= leaseDurationSeconds * 1000;
    if (!isOurs && holderIdentity && !isOver) {
      this.#ours = notOurs; // Whatever our clocks say.
      return false;
    }
    const taken = isOurs ? {} : { acquireTime: renewTime, leaseTransitions: leaseTransitions + 1 };
    await client.update(LeaseKind, { ...found, spec: { ...found.spec, ...spec, ...taken } });
    return true;
  }

  /** Leaves the lease to the next, unless somebody else has it already. Never rejects. */
  async #release(): Promise<void> {
    const { client, clock, identity, lease, log } = this.#options;
    try {
      const found = await client.get(LeaseKind, lease);
      if (found?.spec?.holderIdentity !== identity) return;
      const spec: Lease['spec'] = { ...found.spec, holderIdentity: '', renewTime: microTime(clock.now()) };
      await client.update(LeaseKind, { ...found, spec: { ...spec, leaseDurationSeconds: 1 } });
    } catch (error) {
      log.warn({ lease, reason: messageOf(error) }, 'the lease could not be released: it has to run out');
    }
  }

  #fenced(): Client {
    const { client, lease } = this.#options;
    const ours = async <T>(write: () => Promise<T>): Promise<T> => {
      if (!this.isLeading) throw new NotLeader(`the lease ${lease.name} is not ours any more: nothing is written`);
      return await write();
    };
    return {
      ...client,
      create: (...given) => ours(() => client.create(...given)),
      createOn: (...given) => ours(() => client.createOn(...given)),
      update: (...given) => ours(() => client.update(...given)),
      patch: (...given) => ours(() => client.patch(...given)),
      scale: (...given) => ours(() => client.scale(...given)),
      delete: (...given) => ours(() => client.delete(...given)),
    };
  }
}
