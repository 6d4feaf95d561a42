import { type ClientHttp2Session, connect } from 'node:http2';
import { connect as connectSocket } from 'node:net';
import { messageOf } from '../../lib/errors.ts';
import type { GatewayContext } from '../context.ts';
import type { Endpoint } from '../endpoint.ts';
import type { Exchange } from '../exchange.ts';
import type { UpstreamPool } from '../sides.ts';
import { UpstreamStream } from './upstream-stream.ts';

interface Carried {
  session: ClientHttp2Session;
  streams: Set<UpstreamStream>;
  /** It takes new ones. */
  isOpen: boolean;
  hasCarried: boolean;
  idleSinceMs: number;
}

/**
 * The sessions to one endpoint that speaks HTTP/2 without TLS and without asking first (RFC 9113 §3.3, "prior
 * knowledge"). One carries all exchanges, as many as the pod takes at once; another begins where that is not enough.
 */
export class Http2Sessions implements UpstreamPool {
  readonly #context: GatewayContext;
  readonly #endpoint: Endpoint;
  readonly #sessions = new Set<Carried>();

  constructor(context: GatewayContext, endpoint: Endpoint) {
    this.#context = context;
    this.#endpoint = endpoint;
  }

  get idleCount(): number {
    let count = 0;
    for (const { streams } of this.#sessions) if (streams.size === 0) count++;
    return count;
  }

  upstream(exchange: Exchange, isNew: boolean): UpstreamStream {
    const carried = (isNew ? undefined : this.#withRoom()) ?? this.#connect();
    const stream = new UpstreamStream({
      context: this.#context,
      session: carried.session,
      exchange,
      isReused: carried.hasCarried,
      onEnded: (ended) => {
        carried.streams.delete(ended);
        carried.idleSinceMs = this.#context.coarseMs;
        if (carried.streams.size === 0 && (!carried.isOpen || !this.#endpoint.isReady)) carried.session.close();
      },
    });
    carried.streams.add(stream);
    return stream;
  }

  closeExpired(nowMs: number): void {
    for (const carried of this.#sessions) {
      if (nowMs - carried.idleSinceMs >= this.#context.limits.upstreamIdleMs) this.#closeIfIdle(carried);
    }
  }

  closeIdle(): void {
    for (const carried of this.#sessions) this.#closeIfIdle(carried);
  }

  #closeIfIdle(carried: Carried): void {
    if (carried.streams.size > 0) return;
    this.#sessions.delete(carried);
    carried.session.destroy();
  }

  #withRoom(): Carried | undefined {
    for (const carried of this.#sessions) {
      const { session, streams, isOpen } = carried;
      const max = session.connecting ? 100 : (session.remoteSettings.maxConcurrentStreams ?? Number.POSITIVE_INFINITY);
      if (isOpen && !session.closed && !session.destroyed && streams.size < max) return carried;
    }
    return undefined;
  }

  #connect(): Carried {
    const { host, port } = this.#endpoint;
    const { limits } = this.#context;
    const authority = `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
    const session = connect(authority, {
      createConnection: () => connectSocket({ host, port, noDelay: true }),
      settings: { enablePush: false, maxHeaderListSize: limits.headBytes },
    });
    const idleSinceMs = Number.POSITIVE_INFINITY;
    const carried: Carried = { session, streams: new Set(), isOpen: true, hasCarried: false, idleSinceMs };
    this.#sessions.add(carried);
    let why = 'the connection was closed';
    session.on('connect', () => {
      this.#endpoint.connectSucceeded();
      for (const stream of [...carried.streams]) stream.exchange.connected();
      carried.hasCarried = true;
    });
    session.on('goaway', () => {
      carried.isOpen = false;
    });
    session.on('error', (error) => {
      why = messageOf(error);
    });
    session.on('close', () => {
      carried.isOpen = false;
      this.#sessions.delete(carried);
      for (const stream of [...carried.streams]) stream.sessionEnded(why);
    });
    return carried;
  }
}
