import { type Lease, LeaseKind } from '../../api/coordination/lease.ts';
import { keyOf } from '../../api/meta.ts';
import { gatewayLeaseNamespace, gatewayLeaseSeconds, makeGatewayLease } from '../../api/networking/gateway-lease.ts';
import { ApiError, isAlreadyExists, isConflict, isNotFound } from '../../api/status.ts';
import type { Client } from '../../kube/client.ts';
import { type BackoffPolicy, backoffDelayMs } from '../../lib/backoff.ts';
import { type Clock, sleep } from '../../lib/clock.ts';
import { messageOf } from '../../lib/errors.ts';
import type { Logger } from '../../observe/log.ts';

export interface AcknowledgementOptions {
  client: Client;
  clock: Clock;
  log: Logger;
  /** The Lease's: another gateway of the same name takes the place of this one. */
  name: string;
  /** Names this process. */
  holder: string;
  /** Up to which version of Ingresses the routes are here; undefined before all are. */
  servedVersion: () => string | undefined;
}

const renewMs = (gatewayLeaseSeconds * 1_000) / 3;
const retryMs = 500;
/** On one machine the API starts beside the gateway, and is there in a moment. */
const claimBackoff: BackoffPolicy = { firstMs: 20, maxMs: retryMs, factor: 1.5 };
/** At the end, an API that is going away too is not waited for: the Lease runs out by itself. */
const farewellMs = 500;

/**
 * Tells by a Lease that this gateway is up and which routes it has, so that Serving calls a route ready when every
 * gateway has it.
 *
 *   claim (nothing is served yet) ──▶ write, when there is more and every 5 s … ──▶ stop (the Lease goes)
 */
export class Acknowledgement {
  readonly #options: AcknowledgementOptions;
  readonly #abort = new AbortController();
  /** As written last. */
  #lease: Lease | undefined;
  #isWriting = false;
  #isDue = false;
  #isHeard = true;
  #cancelTimer: (() => void) | undefined;

  constructor(options: AcknowledgementOptions) {
    this.#options = options;
  }

  /**
   * From now on Serving waits for this gateway: to be called before the routes are read, so that none comes to be ready
   * in between. An API that cannot be reached is waited for; one that refuses is not.
   */
  async claim(): Promise<void> {
    const { signal } = this.#abort;
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        await this.#put();
        break;
      } catch (error) {
        this.#failed(error);
        if (isRefusal(error)) break;
        // Stopped: the loop's condition sees it.
        await sleep(this.#options.clock, backoffDelayMs(claimBackoff, attempt), signal).catch(() => {});
      }
    }
    this.#renewAfter(renewMs);
  }

  /** There is more to tell: it is written at once, or when the write under way has ended. */
  write(): void {
    this.#isDue = true;
    if (this.#isWriting || this.#abort.signal.aborted) return;
    this.#isWriting = true;
    void this.#writeAll(); // It catches what goes wrong.
  }

  async stop(): Promise<void> {
    const { client, clock } = this.#options;
    this.#abort.abort();
    this.#cancelTimer?.();
    const lease = this.#lease;
    if (lease?.metadata.resourceVersion === undefined) return;
    const { resourceVersion } = lease.metadata;
    // One that a successor has taken over has another version by now, and stays.
    const gone = client.delete(LeaseKind, keyOf(lease), { preconditions: { resourceVersion } });
    const enough = new AbortController();
    await Promise.race([gone, sleep(clock, farewellMs, enough.signal)]).catch(() => {}); // It runs out by itself.
    enough.abort();
  }

  async #writeAll(): Promise<void> {
    let nextMs = renewMs;
    try {
      while (this.#isDue && !this.#abort.signal.aborted) {
        this.#isDue = false;
        await this.#put();
      }
    } catch (error) {
      this.#failed(error);
      if (!isRefusal(error)) nextMs = retryMs;
    }
    this.#isWriting = false;
    this.#renewAfter(nextMs);
  }

  #renewAfter(delayMs: number): void {
    this.#cancelTimer?.();
    if (this.#abort.signal.aborted) return;
    this.#cancelTimer = this.#options.clock.after(delayMs, () => this.write());
  }

  async #put(): Promise<void> {
    const { client, clock, name, holder, servedVersion } = this.#options;
    const wanted = makeGatewayLease(name, holder, servedVersion(), clock.now());
    const known = this.#lease ?? (await client.get(LeaseKind, { namespace: gatewayLeaseNamespace, name }));
    try {
      this.#lease = known
        ? await client.update(LeaseKind, { ...wanted, metadata: { ...known.metadata, ...wanted.metadata } })
        : await client.create(LeaseKind, wanted);
      this.#isHeard = true;
    } catch (error) {
      const isAsWritten = this.#lease !== undefined;
      this.#lease = undefined;
      if (!isAsWritten || !(isConflict(error) || isNotFound(error))) throw error;
      // Somebody has changed it since: a successor, which speaks for itself, or whoever likes to.
      const found = await client.get(LeaseKind, keyOf(wanted));
      if (found?.spec?.holderIdentity === holder || found === undefined) await this.#put();
      else this.#yieldTo(found.spec?.holderIdentity);
    }
  }

  /** Says so once, until it succeeds again. */
  #failed(error: unknown): void {
    const { log } = this.#options;
    const fields = { reason: messageOf(error) };
    if (this.#isHeard)
      log.warn(fields, 'telling which routes this gateway has failed: new ones may have to wait for it');
    this.#isHeard = false;
  }

  #yieldTo(successor: string | undefined): void {
    this.#options.log.info({ name: this.#options.name, successor }, 'another gateway has taken over this name');
    this.#abort.abort();
  }
}

/** The server has answered, and will answer the same: it is not asked again and again. */
const isRefusal = (error: unknown): boolean =>
  error instanceof ApiError && !isConflict(error) && !isAlreadyExists(error);
