import type { GatewayContext } from '../context.ts';
import type { Endpoint } from '../endpoint.ts';
import type { Exchange } from '../exchange.ts';
import type { UpstreamPool } from '../sides.ts';
import { UpstreamConnection } from './upstream-connection.ts';

/** A request that may not be sent twice only goes out on a connection that was in use this recently. */
const freshMs = 1_000;

/** The connections to one endpoint that wait for a next request; each carries one exchange at a time. */
export class IdleConnections implements UpstreamPool {
  readonly #context: GatewayContext;
  readonly #endpoint: Endpoint;
  /** The last one is the most recently used. */
  readonly #idle: UpstreamConnection[] = [];

  constructor(context: GatewayContext, endpoint: Endpoint) {
    this.#context = context;
    this.#endpoint = endpoint;
  }

  get idleCount(): number {
    return this.#idle.length;
  }

  upstream(exchange: Exchange, isNew: boolean): UpstreamConnection {
    const idleMsMax = exchange.isReplayable ? Number.POSITIVE_INFINITY : freshMs;
    const pooled = isNew ? undefined : this.take(this.#context.coarseMs, idleMsMax);
    return pooled ?? new UpstreamConnection(this.#context, this.#endpoint, this, exchange);
  }

  /** The most recently used connection; undefined when none has been idle for at most `idleMsMax`. */
  take(nowMs: number, idleMsMax: number): UpstreamConnection | undefined {
    const last = this.#idle.at(-1);
    if (last === undefined || nowMs - last.idleSinceMs > idleMsMax || nowMs >= last.expiresMs) return undefined;
    return this.#idle.pop();
  }

  /** Keeps `connection` for a next request, or closes it. */
  give(connection: UpstreamConnection): void {
    const { idlePerEndpoint } = this.#context.limits;
    if (this.#endpoint.isReady && this.#idle.length < idlePerEndpoint) this.#idle.push(connection);
    else connection.abort();
  }

  /** `connection` has closed by itself. */
  forget(connection: UpstreamConnection): void {
    const at = this.#idle.indexOf(connection);
    if (at !== -1) this.#idle.splice(at, 1);
  }

  closeExpired(nowMs: number): void {
    for (const connection of this.#idle.filter(({ expiresMs }) => nowMs >= expiresMs)) {
      this.forget(connection);
      connection.abort();
    }
  }

  closeIdle(): void {
    for (const connection of this.#idle.splice(0)) connection.abort();
  }
}
