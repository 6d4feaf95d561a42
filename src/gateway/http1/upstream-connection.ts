import type { Socket } from 'node:net';
import { messageOf } from '../../lib/errors.ts';
import { owned } from '../accepted-socket.ts';
import type { GatewayContext } from '../context.ts';
import type { Endpoint } from '../endpoint.ts';
import type { Exchange } from '../exchange.ts';
import type { BodySink, Upstream } from '../sides.ts';
import { StallWatch } from '../stall-watch.ts';
import { BodyReader } from './body-reader.ts';
import { BodyWriter } from './body-writer.ts';
import { findHeadEnd } from './head-end.ts';
import type { IdleConnections } from './idle-connections.ts';
import { ResponseHead, readResponseHead } from './response-head.ts';
import { HttpSyntaxError } from './syntax.ts';
import { UpstreamSocket } from './upstream-socket.ts';

type Event = 'data' | 'connect' | 'drain' | 'end' | 'closed';
type State = 'idle' | 'connecting' | 'head' | 'body' | 'tunnel' | 'closed';

/**
 * A connection to one endpoint: writes requests, one after the other, and reads their replies as strictly as requests
 * are read. Its listeners are set once; which exchange they serve is a field.
 *
 *   connecting ──▶ head ──▶ body ──▶ idle ──▶ head …
 *                    └──▶ tunnel (101)            any ──▶ closed
 */
export class UpstreamConnection implements Upstream {
  readonly sink: BodyWriter;
  idleSinceMs = 0;
  /** When it is too old to carry another request (monotonic). */
  expiresMs = Number.POSITIVE_INFINITY;
  readonly #context: GatewayContext;
  readonly #endpoint: Endpoint;
  readonly #pool: IdleConnections;
  readonly #head = new ResponseHead();
  readonly #stall = new StallWatch();
  /** To read from. When it is deaf another one, as `sink` keeps the one to write to, which has ended. */
  #socket: Socket;
  #state: State = 'connecting';
  #exchange: Exchange | undefined;
  #input: Buffer | undefined;
  readonly #body: BodyReader;
  /** Has carried a request before the present one. */
  #isReused = false;
  #hasReplyBytes = false;
  #interimCount = 0;
  /** Why nothing can be sent any more; '' when it can. */
  #deafWhy = '';

  /** Connects, for `exchange`, which hears of the outcome. */
  constructor(context: GatewayContext, endpoint: Endpoint, pool: IdleConnections, exchange: Exchange) {
    this.#context = context;
    this.#endpoint = endpoint;
    this.#pool = pool;
    this.#body = new BodyReader(context.limits, Number.POSITIVE_INFINITY);
    this.#exchange = exchange;
    const { host, port } = endpoint;
    const socket = new UpstreamSocket(
      (bytes) => this.#on('data', socket, bytes),
      (reader, error) => this.#onDeaf(reader, error),
    );
    this.#socket = socket;
    this.sink = new BodyWriter(socket);
    socket.on('connect', () => this.#on('connect', socket));
    socket.on('drain', () => this.#on('drain', socket));
    this.#listen(socket);
    socket.connect({ host, port });
  }

  get heldBytes(): number {
    return this.#socket.writableLength + (this.#input === undefined ? 0 : this.#input.length);
  }

  stalledMs(nowMs: number): number {
    return this.#stall.look(this.#socket, nowMs);
  }

  get isConnecting(): boolean {
    return this.#state === 'connecting';
  }

  send(exchange: Exchange): void {
    this.#exchange = exchange;
    this.#state = 'head';
    this.#hasReplyBytes = false;
    this.#interimCount = 0;
    const { request, host, fields, body } = exchange;
    const head = `${request.method} ${request.target} HTTP/1.1\r\nHost: ${host}\r\n${fields}`;
    const socket = this.#socket;
    if (body !== undefined) {
      this.sink.isDone = true;
      let framing = body === '' ? '' : `Content-Length: ${body.length}\r\n`;
      if (request.upgrade !== '') framing = `Connection: Upgrade\r\nUpgrade: ${request.upgrade}\r\n`;
      socket.write(`${head}${framing}\r\n${body}`, 'latin1');
      return;
    }
    const isChunked = request.bodyBytes === -1;
    this.sink.begin(isChunked ? 'chunked' : 'raw');
    socket.cork();
    const framing = isChunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${request.bodyBytes}`;
    socket.write(`${head}${framing}\r\n\r\n`, 'latin1');
    exchange.downstream.sendBody(this.sink);
    socket.uncork();
  }

  resume(): void {
    this.#socket.resume();
  }

  abort(): void {
    this.#state = 'closed';
    this.#exchange = undefined;
    this.#socket.destroy();
  }

  #listen(socket: Socket): void {
    socket.on('end', () => this.#on('end', socket));
    socket.on('error', (error) => this.#on('closed', socket, undefined, messageOf(error)));
    socket.on('close', () => this.#on('closed', socket));
  }

  /** The one way in. Whatever goes wrong ends this connection and the exchange that it carries. */
  #on(event: Event, socket: Socket, bytes?: Buffer, why = 'the connection was closed'): void {
    // After a move of the handle only the new socket has something to say.
    if (socket !== this.#socket && bytes === undefined) return;
    const exchange = this.#exchange;
    const { quarantine } = this.#context;
    if (exchange !== undefined) quarantine.enter(exchange.work);
    try {
      if (bytes !== undefined) this.#onData(bytes);
      else if (event === 'connect') this.#onConnect();
      else if (event === 'drain') exchange?.downstream.resume();
      else if (event === 'end') this.#onEnd();
      else this.#onClosed(why);
    } catch (error) {
      this.abort();
      this.#pool.forget(this);
      if (exchange === undefined) this.#context.reportFault(error);
      else exchange.fault(error);
    } finally {
      quarantine.leave();
    }
  }

  #onDeaf(reader: Socket, error: Error): void {
    this.#socket = reader;
    this.#deafWhy = messageOf(error);
    this.#listen(reader);
    this.#exchange?.downstream.dropBody();
  }

  #onConnect(): void {
    if (this.#state !== 'connecting') return;
    this.#endpoint.connectSucceeded();
    this.#exchange?.connected();
  }

  #onData(bytes: Buffer): void {
    const exchange = this.#exchange;
    if (exchange === undefined) {
      this.#onClosed('bytes came that belong to no reply');
      return;
    }
    const { sink } = exchange.downstream;
    this.#hasReplyBytes = true;
    try {
      if (this.#state === 'head') {
        this.#onHeadBytes(bytes, exchange, sink);
      } else if (this.#state === 'body') {
        exchange.noteReplyBytes();
        this.#onBody(bytes, 0, sink);
      } else if (this.#state === 'tunnel') {
        exchange.noteReplyBytes();
        sink.write(bytes);
      }
    } catch (error) {
      if (!(error instanceof HttpSyntaxError)) throw error;
      this.abort();
      exchange.upstreamFailed(error.message, false);
    }
    if (this.#exchange !== undefined && sink.isFull) this.#socket.pause();
  }

  #onHeadBytes(bytes: Buffer, exchange: Exchange, sink: BodySink): void {
    let input = bytes;
    let lookFrom = 0;
    if (this.#input !== undefined) {
      lookFrom = this.#input.length;
      input = Buffer.concat([this.#input, bytes]);
      this.#input = undefined;
    }
    const { limits } = this.#context;
    for (let start = 0; ; ) {
      const end = findHeadEnd(input, start, Math.max(start, lookFrom - 1));
      if ((end === -1 ? input.length : end) - start > limits.headBytes) {
        throw new HttpSyntaxError(502, `the reply's head is longer than ${limits.headBytes} bytes`);
      }
      if (end === -1) {
        this.#input = owned(input.subarray(start));
        return;
      }
      const head = this.#head;
      readResponseHead(input.toString('latin1', start, end), exchange.request.method, head, limits);
      if (head.status >= 200) {
        this.#onHead(input, end, exchange, sink);
        return;
      }
      if (head.status === 101) {
        this.#onSwitch(input, end, exchange, sink);
        return;
      }
      if (++this.#interimCount > limits.interimReplies) {
        throw new HttpSyntaxError(502, `it sent more than ${limits.interimReplies} interim replies (1xx)`);
      }
      exchange.interim(head);
      start = end;
      if (start === input.length) return;
    }
  }

  #onHead(input: Buffer, end: number, exchange: Exchange, sink: BodySink): void {
    const head = this.#head;
    const body = this.#body;
    const isLast = !head.isKeepAlive || this.#deafWhy !== '';
    const available = input.length - end;
    body.begin(head.framing, head.contentLength);
    if (body.takeWhole(available)) {
      const isEmpty = head.framing === 'none';
      exchange.reply(head, isEmpty ? '' : input.toString('latin1', end), isLast);
      this.#finish(!isEmpty || available === 0);
      return;
    }
    this.#state = 'body';
    if (available === 0) {
      exchange.reply(head, undefined, isLast);
      return;
    }
    sink.cork();
    try {
      exchange.reply(head, undefined, isLast);
      this.#onBody(input, end, sink);
    } finally {
      sink.uncork();
    }
  }

  #onBody(bytes: Buffer, start: number, sink: BodySink): void {
    const end = this.#body.read(bytes, start, sink);
    if (this.#body.isDone) this.#finish(end === bytes.length);
  }

  #onSwitch(input: Buffer, end: number, exchange: Exchange, sink: BodySink): void {
    const head = this.#head;
    if (exchange.request.upgrade === '' || head.upgrade === '') {
      throw new HttpSyntaxError(502, 'it switches protocols though nobody asked for that');
    }
    this.#state = 'tunnel';
    this.sink.begin('tunnel');
    exchange.switchProtocols(head);
    sink.write(input.subarray(end));
  }

  /** The reply is complete. `isClean`: nothing came behind it. */
  #finish(isClean: boolean): void {
    const exchange = this.#exchange;
    if (exchange === undefined) return;
    this.#exchange = undefined;
    const head = this.#head;
    const { limits, coarseMs } = this.#context;
    if (isClean && head.isKeepAlive && this.sink.isDone && this.#deafWhy === '') {
      this.#state = 'idle';
      this.#isReused = true;
      this.idleSinceMs = coarseMs;
      const saidMs = head.keepAliveSeconds === -1 ? Number.POSITIVE_INFINITY : head.keepAliveSeconds * 1000 - 1000;
      this.expiresMs = coarseMs + Math.min(limits.upstreamIdleMs, saidMs);
      this.#pool.give(this);
    } else {
      this.abort();
    }
    exchange.replyEnded();
  }

  #onEnd(): void {
    const exchange = this.#exchange;
    if (exchange !== undefined && this.#state === 'tunnel') {
      exchange.downstream.sink.end('');
    } else if (exchange !== undefined && this.#state === 'body' && this.#head.framing === 'close') {
      exchange.downstream.sink.end('');
      this.#finish(false);
    } else {
      this.#onClosed('the connection was closed');
    }
  }

  #onClosed(why: string): void {
    const wasState = this.#state;
    const exchange = this.#exchange;
    if (wasState === 'closed') return;
    this.abort();
    if (wasState === 'idle') this.#pool.forget(this);
    else if (wasState === 'connecting') exchange?.connectFailed(why);
    else exchange?.upstreamFailed(this.#deafWhy || why, this.#isReused && !this.#hasReplyBytes);
  }
}
