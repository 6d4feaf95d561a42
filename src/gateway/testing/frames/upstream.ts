import { connect, type Socket } from 'node:net';
import { messageOf } from '../../../lib/errors.ts';
import type { GatewayContext } from '../../context.ts';
import type { Endpoint } from '../../endpoint.ts';
import type { Exchange } from '../../exchange.ts';
import type { Upstream, UpstreamPool } from '../../sides.ts';
import { StallWatch } from '../../stall-watch.ts';
import { type FrameHandler, type FrameHead, FrameLink, type FrameStream, preface } from './link.ts';

/** One connection to an endpoint, for as many exchanges as there are. */
export class FramesPool implements UpstreamPool {
  readonly #context: GatewayContext;
  readonly #endpoint: Endpoint;
  #connection: { link: FrameLink; upstreams: Set<FramesUpstream>; idleSinceMs: number } | undefined;
  #nextId = 1;

  constructor(context: GatewayContext, endpoint: Endpoint) {
    this.#context = context;
    this.#endpoint = endpoint;
  }

  get idleCount(): number {
    return this.#connection?.upstreams.size === 0 ? 1 : 0;
  }

  upstream(exchange: Exchange): FramesUpstream {
    this.#connection ??= this.#connect();
    const { link, upstreams } = this.#connection;
    const upstream = new FramesUpstream(link, this.#nextId++, exchange, (ended) => {
      upstreams.delete(ended);
      if (this.#connection?.upstreams === upstreams) this.#connection.idleSinceMs = this.#context.coarseMs;
    });
    upstreams.add(upstream);
    return upstream;
  }

  closeExpired(nowMs: number): void {
    const { idleSinceMs = nowMs } = this.#connection ?? {};
    if (nowMs - idleSinceMs >= this.#context.limits.upstreamIdleMs) this.closeIdle();
  }

  closeIdle(): void {
    if (this.idleCount === 0) return;
    this.#connection?.link.socket.destroy();
    this.#connection = undefined;
  }

  #connect() {
    const { host, port } = this.#endpoint;
    const socket: Socket = connect({ host, port, noDelay: true });
    const link = new FrameLink(socket, () => undefined);
    const connection = { link, upstreams: new Set<FramesUpstream>(), idleSinceMs: Number.POSITIVE_INFINITY };
    let why = 'the connection was closed';
    const on = (event: string, act: (bytes: Buffer) => void) =>
      socket.on(event, (bytes: Buffer) => {
        try {
          act(bytes);
        } catch (error) {
          socket.destroy(error instanceof Error ? error : new Error(messageOf(error)));
        }
      });
    socket.write(preface);
    on('connect', () => {
      this.#endpoint.connectSucceeded();
      for (const upstream of [...connection.upstreams]) upstream.exchange.connected();
    });
    on('data', (bytes) => link.read(bytes));
    on('drain', () => link.onDrain());
    on('end', () => socket.destroy());
    socket.on('error', (error) => {
      why = messageOf(error);
    });
    socket.on('close', () => {
      if (this.#connection === connection) this.#connection = undefined;
      for (const upstream of [...connection.upstreams]) upstream.onLinkClosed(why);
    });
    return connection;
  }
}

/** A stream of it: the pod's side of one exchange. */
class FramesUpstream implements Upstream, FrameHandler {
  readonly exchange: Exchange;
  readonly sink: FrameStream;
  readonly #link: FrameLink;
  readonly #stall = new StallWatch();
  readonly #onEnded: (upstream: FramesUpstream) => void;
  #isSent = false;
  /** The connection was there before it. */
  readonly #isReused: boolean;
  #hasReply = false;
  #bodyLeft = 0;

  constructor(link: FrameLink, id: number, exchange: Exchange, onEnded: (upstream: FramesUpstream) => void) {
    this.#link = link;
    this.exchange = exchange;
    this.sink = link.open(id, this);
    this.#isReused = !this.isConnecting;
    this.#onEnded = onEnded;
  }

  get isConnecting(): boolean {
    return this.#link.socket.connecting;
  }

  get heldBytes(): number {
    return this.sink.heldBytes;
  }

  stalledMs(nowMs: number): number {
    return this.#stall.look(this.#link.socket, nowMs);
  }

  send({ request, host, fields, body, downstream }: Exchange): void {
    this.#isSent = true;
    const { method, target, bodyBytes } = request;
    this.sink.sendHead({ method, target, host, fields, bodyBytes });
    if (body === undefined) {
      downstream.sendBody(this.sink);
    } else {
      this.sink.write(Buffer.from(body, 'latin1'));
      this.sink.end('');
    }
  }

  resume(): void {
    this.sink.grant();
  }

  abort(): void {
    this.sink.reset();
    this.#onEnded(this);
  }

  onHead({ status = 0, reason = '', fields, bodyBytes }: FrameHead): void {
    const reply = { status, reason, fields, bodyBytes, hasDate: /^date:/im.test(fields), upgrade: '' };
    this.#hasReply = true;
    this.#bodyLeft = bodyBytes === -1 ? Number.POSITIVE_INFINITY : bodyBytes;
    if (status < 200) this.exchange.interim(reply);
    else this.exchange.reply(reply, undefined, false);
  }

  onData(data: Buffer): void {
    const { sink } = this.exchange.downstream;
    this.#bodyLeft -= data.length;
    if (this.#bodyLeft < 0) {
      this.#fail('its body is longer than it said');
      return;
    }
    this.exchange.noteReplyBytes();
    sink.write(data);
    if (!sink.isFull) this.sink.grant();
  }

  onEnd(trailers: string): void {
    if (Number.isFinite(this.#bodyLeft) && this.#bodyLeft > 0) {
      this.#fail('its body is shorter than it said');
      return;
    }
    this.exchange.downstream.sink.end(trailers);
    this.#link.streams.delete(this.sink.id);
    this.#onEnded(this);
    this.exchange.replyEnded();
  }

  onReset(): void {
    this.#fail('the stream was reset');
  }

  onWritable(): void {
    this.exchange.downstream.resume();
  }

  onLinkClosed(why: string): void {
    this.#onEnded(this);
    if (this.#isSent) this.exchange.upstreamFailed(why, this.#isReused && !this.#hasReply);
    else this.exchange.connectFailed(why);
  }

  #fail(why: string): void {
    this.abort();
    this.exchange.upstreamFailed(why, false);
  }
}
