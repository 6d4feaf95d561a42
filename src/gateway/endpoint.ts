import { type BackoffPolicy, backoffDelayMs } from '../lib/backoff.ts';
import type { UpstreamConnection } from './upstream-connection.ts';

/** A pod that refuses connections is tried again soon: it may be opening its port at this moment. */
const connectBackoff: BackoffPolicy = { firstMs: 5, maxMs: 500, factor: 2 };

/** One address of a revision, with the connections to it that wait for a next request. */
export class Endpoint {
  readonly host: string;
  readonly port: number;
  /** Requests that hold a slot here. */
  inFlight = 0;
  /** False: finish what runs, start nothing. */
  isReady = true;
  /** Connecting failed: not chosen before this time (monotonic). 0 when connecting works. */
  restsUntilMs = 0;
  #failures = 0;
  /** The last one is the most recently used. */
  readonly #idle: UpstreamConnection[] = [];

  constructor(host: string, port: number) {
    this.host = host;
    this.port = port;
  }

  get idleCount(): number {
    return this.#idle.length;
  }

  /** The most recently used connection; undefined when none has been idle for at most `idleMsMax`. */
  take(nowMs: number, idleMsMax: number): UpstreamConnection | undefined {
    const last = this.#idle.at(-1);
    if (last === undefined || nowMs - last.idleSinceMs > idleMsMax || nowMs >= last.expiresMs) return undefined;
    return this.#idle.pop();
  }

  /** Keeps `connection` for a next request, or closes it. */
  give(connection: UpstreamConnection, idleMax: number): void {
    if (this.isReady && this.#idle.length < idleMax) this.#idle.push(connection);
    else connection.destroy();
  }

  /** `connection` has closed by itself. */
  forget(connection: UpstreamConnection): void {
    const at = this.#idle.indexOf(connection);
    if (at !== -1) this.#idle.splice(at, 1);
  }

  closeExpired(nowMs: number): void {
    for (const connection of this.#idle.filter(({ expiresMs }) => nowMs >= expiresMs)) {
      this.forget(connection);
      connection.destroy();
    }
  }

  closeIdle(): void {
    for (const connection of this.#idle.splice(0)) connection.destroy();
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
