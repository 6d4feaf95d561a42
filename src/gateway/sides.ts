/**
 * What stands on the two sides of an exchange (exchange.ts), whatever protocols they speak. Each side knows its own
 * bytes; the exchange between them knows routes, slots, deadlines and outcomes.
 *
 *     Connection            request ──▶                      ──▶ send          UpstreamPool
 *     │ a client's     Downstream ─────────── Exchange ─────────── Upstream    │ connections
 *     │ socket              ◀── reply         one request    ◀── reply         │ to one pod
 *     └ 1 … n                                                                  └ 0 … n
 *                           ════ the request's body: BodySink of the upstream ═══▶
 *                           ◀═══ the reply's body: BodySink of the downstream ════
 *
 * Header fields travel as one string of complete lines (`name: value\r\n`, latin1), checked by the side that read them
 * and free of what concerns its hop only. Bytes are valid during the call that passes them.
 */
import type { Socket } from 'node:net';
import type { GatewayContext } from './context.ts';
import type { Endpoint } from './endpoint.ts';
import type { Exchange } from './exchange.ts';
import type { Peer } from './forward-fields.ts';
import type { Reply } from './replies.ts';

/** A request's head, as far as the exchange or the other side looks at it. */
export interface ExchangeRequest {
  readonly method: string;
  readonly target: string;
  readonly host: string;
  /** Of the body; -1 when only its end will tell. */
  readonly bodyBytes: number;
  /** The protocols that the client offers to switch to, or ''. */
  readonly upgrade: string;
  readonly forwardedFor: string;
  readonly forwardedProto: string;
  readonly forwardedHost: string;
  readonly forwarded: string;
  readonly traceparent: string;
  readonly requestId: string;
  /** The other fields; without Content-Length unless that is 0. */
  readonly fields: string;
}

/** A reply's head. */
export interface ExchangeReply {
  readonly status: number;
  /** '' where the protocol has none. */
  readonly reason: string;
  /** Of the body that follows; -1 when only its end will tell. Whoever says a number has checked it. */
  readonly bodyBytes: number;
  readonly hasDate: boolean;
  /** The protocol switched to (101), or asked for (426). */
  readonly upgrade: string;
  /** Content-Length is among them when it is known. */
  readonly fields: string;
}

/** Where a body goes, piece by piece. After a switch of protocols, where the bytes of one direction go. */
export interface BodySink {
  /** Nothing more should be written; who waits is told by `resume`. */
  readonly isFull: boolean;
  write(bytes: Buffer): void;
  /** `trailers` are complete lines, or ''. */
  end(trailers: string): void;
  /** What is written until `uncork` leaves together. */
  cork(): void;
  uncork(): void;
}

/** The client's side of one exchange. */
export interface Downstream {
  readonly request: ExchangeRequest;
  readonly peer: Peer;
  /** Of the reply's body. */
  readonly sink: BodySink;
  /** The whole body as latin1 when all of it is here and it is small ('' when there is none): it can be sent again. */
  takeBody(): string | undefined;
  /** The body's time has come: from now on it is written to `sink` as it arrives, at most `limits.bodyBytes` of it. */
  sendBody(sink: BodySink): void;
  /** The upstream takes no more of the body, and its sink forgets it; what has come of the reply is to be passed on. */
  dropBody(): void;
  /** The sink of what the client sends is no longer full. */
  resume(): void;
  interim(reply: ExchangeReply): void;
  /**
   * Begins the reply; `whole` is its body as latin1 when all of it is here. `isLast`: the upstream takes no more of the
   * request after it.
   */
  reply(reply: ExchangeReply, whole: string | undefined, isLast: boolean): void;
  /** 101: from now on what the client sends goes to `sink`, whatever it is. */
  switchProtocols(reply: ExchangeReply, sink: BodySink): void;
  /** The exchange has ended, and the reply is complete. */
  replyEnded(): void;
  /** The exchange has ended: a reply of the gateway itself. `isFailure`: in place of one that should have come. */
  answer(reply: Reply, isFailure: boolean): void;
  /** The exchange has ended, without a reply or in its midst: the client must notice. */
  abort(): void;
}

/** The pod's side of one exchange. */
export interface Upstream {
  /** Of the request's body. */
  readonly sink: BodySink;
  /** Until it is connected, it says `connected` or `connectFailed` to the exchange that it was made for. */
  readonly isConnecting: boolean;
  /** Bytes that are here because somebody does not take them. */
  readonly heldBytes: number;
  /** How long the pod has taken nothing of what is here for it. */
  stalledMs(nowMs: number): number;
  /** Sends the request of `exchange`, and has the downstream send the body. */
  send(exchange: Exchange): void;
  /** The sink of the reply is no longer full. */
  resume(): void;
  /** Gives the exchange up, without another word to it. */
  abort(): void;
}

/** The connections to one endpoint. */
export interface UpstreamPool {
  /** Those that no exchange is on. */
  readonly idleCount: number;
  /** A place for `exchange`, on a new connection when `isNew`. */
  upstream(exchange: Exchange, isNew: boolean): Upstream;
  closeExpired(nowMs: number): void;
  closeIdle(): void;
}

/** A client's connection, with the exchanges on it. */
export interface Connection {
  readonly heldBytes: number;
  stalledMs(nowMs: number): number;
  /** Called often: acts when a deadline has passed, or a peer has stood still for too long. */
  sweep(): void;
  /** Takes no new request, and closes once those under way have ended. */
  drain(): void;
  /** Gives up what it holds, because all connections together hold too much. */
  shed(): void;
  /** At once, whatever goes on. */
  destroy(): void;
}

/** Adds a Connection to those of `context`; `first` are the bytes that have been read from it already. */
export type Accept = (context: GatewayContext, socket: Socket, first: Buffer) => void;

export interface Protocols {
  /** For clients that announce no other protocol. */
  downstream: (context: GatewayContext, socket: Socket) => void;
  /** Says that there are too many connections, and closes this one. */
  turnAway: (context: GatewayContext, socket: Socket) => void;
  /** By the bytes (latin1) with which its connections begin. */
  announced: Readonly<Record<string, Accept>>;
  /** By the name that an endpoint's address has for it. */
  upstream: Readonly<Record<string, (context: GatewayContext, endpoint: Endpoint) => UpstreamPool>>;
}
