import { type BackoffPolicy, backoffDelayMs } from '../lib/backoff.ts';
import type { UpstreamPool } from './sides.ts';

/** A pod that refuses connections is tried again soon: it may be opening its port at this moment. */
const connectBackoff: BackoffPolicy = { firstMs: 5, maxMs: 500, factor: 2 };

/** One address of a revision, with the connections to it. */
export class Endpoint {
  readonly host: string;
  readonly port: number;
  /** What is spoken there: a name among `Protocols.upstream`. */
  readonly protocol: string;
  /** Requests that hold a slot here. */
  inFlight = 0;
  /** False: finish what runs, start nothing. */
  isReady = true;
  /** Connecting failed: not chosen before this time (monotonic). 0 when connecting works. */
  restsUntilMs = 0;
  /** Made when it is first needed. */
  pool: UpstreamPool | undefined;
  #failures = 0;

  constructor(host: string, port: number, protocol = 'http1') {
    this.host = host;
    this.port = port;
    this.protocol = protocol;
  }

  connectSucceeded(): void {
    this.#failures = 0;
    this.restsUntilMs = 0;
  }

  /** Returns how long the endpoint rests now. */
  connectFailed(nowMs: number): number {
    const delayMs = backoffDelayMs(connectBackoff, this.#failures++);
    this.restsUntilMs = nowMs + delayMs;
    return delayMs;
  }
}
