import type { Socket } from 'node:net';
import { readInto } from '../accepted-socket.ts';
import type { GatewayContext } from '../context.ts';
import { Exchange } from '../exchange.ts';
import { type Peer, peerOf } from '../forward-fields.ts';
import * as replies from '../replies.ts';
import type { BodySink, Connection, Downstream, ExchangeReply } from '../sides.ts';
import { StallWatch } from '../stall-watch.ts';
import { BodyReader } from './body-reader.ts';
import { BodyWriter } from './body-writer.ts';
import { ClientInput } from './client-input.ts';
import { replyHead, replyText } from './reply-text.ts';
import { RequestHead } from './request-head.ts';
import { HttpSyntaxError } from './syntax.ts';

type Event = 'data' | 'drain' | 'end' | 'close' | 'sweep';
type Phase = 'head' | 'exchange' | 'tunnel' | 'closing' | 'closed';

/**
 * One client's connection: reads its requests, one after the other, and writes their replies. The one exchange that it
 * has serves each of them.
 *
 *   head ──▶ exchange ──▶ head …
 *               └──▶ tunnel (101)      any ──▶ closing (after the last reply) ──▶ closed
 */
export class ClientConnection implements Connection, Downstream {
  readonly request = new RequestHead();
  readonly peer: Peer;
  readonly sink: BodyWriter;
  readonly #socket: Socket;
  readonly #context: GatewayContext;
  readonly #exchange: Exchange;
  readonly #body: BodyReader;
  readonly #input: ClientInput;
  readonly #stall = new StallWatch();
  #phase: Phase = 'head';
  /** Where the body of the request goes, or the bytes of the tunnel; undefined until they may. */
  #upstreamSink: BodySink | undefined;
  #isAdvancing = false;
  /** No request has begun. */
  #isNew = true;
  /** Of what goes on when no exchange does. */
  #deadlineMs: number;

  constructor(context: GatewayContext, socket: Socket) {
    this.#context = context;
    this.peer = peerOf(socket.remoteAddress);
    this.#socket = readInto(socket, (bytes) => this.#on('data', bytes));
    this.sink = new BodyWriter(this.#socket);
    this.#input = new ClientInput(context.limits);
    this.#body = new BodyReader(context.limits, context.limits.bodyBytes);
    this.#exchange = new Exchange(context, this);
    this.#deadlineMs = context.coarseMs + context.limits.headTimeoutMs;
    context.connections.add(this);
    this.#socket.on('drain', () => this.#on('drain'));
    this.#socket.on('end', () => this.#on('end'));
    // What matters of an error is the close that follows.
    this.#socket.on('error', () => {});
    this.#socket.on('close', () => this.#on('close'));
  }

  // ── The connection ──

  get heldBytes(): number {
    return this.#input.length + this.#socket.writableLength + this.#exchange.heldBytes;
  }

  stalledMs(nowMs: number): number {
    const ownMs = this.#stall.look(this.#socket, nowMs);
    return Math.max(ownMs, this.#exchange.stalledMs(nowMs));
  }

  sweep(): void {
    this.#on('sweep');
  }

  drain(): void {
    if (this.#phase !== 'head' || !this.#input.isEmpty) return;
    // A client that has just connected is about to ask: it is not turned away for having come here.
    if (this.#isNew) this.#awaitUntil('head', 'lingerMs');
    else this.destroy();
  }

  shed(): void {
    this.#context.counters.shed++;
    if (this.#phase === 'exchange') this.#exchange.shed();
    else this.destroy();
  }

  destroy(): void {
    this.#socket.destroy();
    this.#onClose();
  }

  /** The one way in. Whatever goes wrong with this connection ends this connection, and nothing else. */
  #on(event: Event, bytes?: Buffer): void {
    try {
      if (bytes !== undefined) this.#onData(bytes);
      else if (event === 'drain') this.#onDrain();
      else if (event === 'end') this.#onEnd();
      else if (event === 'close') this.#onClose();
      else this.#sweep(this.#context.coarseMs);
    } catch (error) {
      this.#fault(error);
    } finally {
      this.#context.quarantine.leave();
    }
  }

  #fault(error: unknown): void {
    if (this.#phase === 'exchange' || this.#phase === 'tunnel') {
      this.#exchange.fault(error);
      return;
    }
    this.#context.reportFault(error);
    try {
      if (this.#phase === 'head') this.#refuse(replies.internalError);
      else this.destroy();
    } catch (again) {
      this.#context.reportFault(again);
      this.destroy();
    }
  }

  #sweep(nowMs: number): void {
    if (this.stalledMs(nowMs) >= this.#context.limits.stallMs) {
      this.destroy();
      return;
    }
    if (this.#phase === 'exchange' || this.#phase === 'tunnel') {
      this.#exchange.sweep(nowMs);
      return;
    }
    if (nowMs < this.#deadlineMs) return;
    if (this.#phase === 'head' && !this.#input.isEmpty) this.#refuse(replies.headTimeout);
    // A slow client still reads its last reply: only one that takes nothing is cut off.
    else if (this.#phase === 'closing' && this.#socket.writableLength > 0) this.#awaitUntil('closing', 'lingerMs');
    else this.destroy();
  }

  // ── Requests ──

  #onData(bytes: Buffer): void {
    switch (this.#phase) {
      case 'head':
        this.#input.add(bytes);
        if (this.#isNew && this.#isHandedOver()) return;
        this.#advance();
        this.#input.keep();
        return;
      case 'exchange':
        if (this.#body.isDone || this.#upstreamSink === undefined) this.#stash(bytes);
        else this.#passBody(bytes, this.#upstreamSink);
        return;
      case 'tunnel':
        this.#passTunnel(bytes);
        return;
      default: // What comes behind the last request is of no use.
    }
  }

  /** A client that announces another protocol is that protocol's. */
  #isHandedOver(): boolean {
    const { announced } = this.#context.protocols;
    for (const preface in announced) {
      if (!this.#input.startsWith(preface)) continue;
      this.#phase = 'closed';
      this.#context.connections.delete(this);
      announced[preface]?.(this.#context, this.#socket, this.#input.take() ?? Buffer.alloc(0));
      return true;
    }
    return false;
  }

  #stash(bytes: Buffer): void {
    this.#input.add(bytes);
    this.#input.keep();
    if (this.#input.isFull) this.#socket.pause();
  }

  /** Reads requests from the input until one needs to wait for something. */
  #advance(): void {
    if (this.#isAdvancing) return;
    this.#isAdvancing = true;
    try {
      while (this.#phase === 'head' && !this.#input.isEmpty) {
        // Who does not read its replies gets no more of them.
        if (this.#socket.writableNeedDrain) break;
        const isContinued = this.#input.isInHead;
        if (!this.#input.readHead(this.request)) {
          if (!isContinued) this.#awaitUntil('head', 'headTimeoutMs');
          break;
        }
        this.#isNew = false;
        this.#upstreamSink = undefined;
        this.#body.begin(this.request.framing, this.request.contentLength);
        this.#phase = 'exchange';
        this.#exchange.begin();
      }
      if (this.#phase !== 'head') return;
      if (this.#socket.writableNeedDrain) this.#socket.pause();
      else if (this.#socket.isPaused()) this.#socket.resume();
    } catch (error) {
      if (!(error instanceof HttpSyntaxError)) throw error;
      this.#refuse({ status: error.status, body: error.message });
    } finally {
      this.#isAdvancing = false;
    }
  }

  takeBody(): string | undefined {
    if (this.#body.isDone) return '';
    return this.#body.takeWhole(this.#input.length) ? this.#input.take()?.toString('latin1') : undefined;
  }

  sendBody(sink: BodySink): void {
    this.#upstreamSink = sink;
    const bytes = this.#input.take();
    if (bytes !== undefined) this.#passBody(bytes, sink);
    if (!sink.isFull) this.#socket.resume();
  }

  /** Passes on what of `bytes` belongs to the body; the rest is the next request's. */
  #passBody(bytes: Buffer, sink: BodySink): void {
    let end: number;
    try {
      end = this.#body.read(bytes, 0, sink);
    } catch (error) {
      if (!(error instanceof HttpSyntaxError)) throw error;
      this.#exchange.fail({ status: error.status, body: error.message });
      return;
    }
    if (end < bytes.length) this.#stash(bytes.subarray(end));
    if (sink.isFull && !this.#body.isDone) this.#socket.pause();
  }

  dropBody(): void {
    if (!this.#body.isDone) this.request.isKeepAlive = false;
    // Not to keep the client's bytes but to see it leave.
    this.#socket.resume();
  }

  resume(): void {
    if (this.#phase === 'tunnel' || (this.#phase === 'exchange' && !this.#body.isDone)) this.#socket.resume();
  }

  // ── Replies ──

  interim(reply: ExchangeReply): void {
    this.#socket.write(`HTTP/1.1 ${reply.status} ${reply.reason}\r\n${reply.fields}\r\n`, 'latin1');
  }

  reply(reply: ExchangeReply, whole: string | undefined, isLast: boolean): void {
    if (this.#context.isDraining || (isLast && !this.#body.isDone)) this.request.isKeepAlive = false;
    const isChunked = reply.bodyBytes === -1;
    const text = replyHead(reply, isChunked, this.#context.dateField, this.request.isKeepAlive);
    this.#socket.write(whole === undefined ? text : text + whole, 'latin1');
    this.sink.begin(isChunked ? 'chunked' : 'raw');
  }

  switchProtocols(reply: ExchangeReply, sink: BodySink): void {
    const upgrade = `Connection: Upgrade\r\nUpgrade: ${reply.upgrade}\r\n`;
    this.#socket.write(`HTTP/1.1 ${reply.status} ${reply.reason}\r\n${reply.fields}${upgrade}\r\n`, 'latin1');
    this.sink.begin('tunnel');
    this.#phase = 'tunnel';
    this.#upstreamSink = sink;
    this.#socket.resume();
    const early = this.#input.take();
    if (early !== undefined) this.#passTunnel(early);
  }

  #passTunnel(bytes: Buffer): void {
    this.#upstreamSink?.write(bytes);
    if (this.#upstreamSink?.isFull) this.#socket.pause();
  }

  replyEnded(): void {
    if (!this.request.isKeepAlive || !this.#body.isDone) {
      this.#close('');
      return;
    }
    this.#awaitUntil('head', 'clientIdleMs');
    this.#advance();
  }

  answer(reply: replies.Reply, isFailure: boolean): void {
    const isKeepAlive = !isFailure && this.request.isKeepAlive && this.#body.isDone && !this.#context.isDraining;
    const text = replyText(reply, this.#context.dateField, this.request.method === 'HEAD', isKeepAlive);
    if (!isKeepAlive) {
      this.#close(text);
      return;
    }
    this.#socket.write(text);
    this.replyEnded();
  }

  abort(): void {
    this.destroy();
  }

  /** For input that is no request: there is no telling where a next one would begin. */
  #refuse(reply: replies.Reply): void {
    this.request.method = '';
    this.#context.counters.countLocalReply(reply.status);
    this.answer(reply, true);
  }

  // ── The end ──

  #onDrain(): void {
    this.#exchange.resumeReply();
    this.#advance();
  }

  /** Sends `text`, ends the stream, and waits for the client to do the same: closing at once could lose the reply. */
  #close(text: string): void {
    this.#input.take();
    this.#awaitUntil('closing', 'lingerMs');
    if (text === '') this.#socket.end();
    else this.#socket.end(text);
    this.#socket.resume();
  }

  #awaitUntil(phase: 'head' | 'closing', limit: 'clientIdleMs' | 'headTimeoutMs' | 'lingerMs'): void {
    this.#phase = phase;
    this.#deadlineMs = this.#context.coarseMs + this.#context.limits[limit];
  }

  #onEnd(): void {
    if (this.#phase === 'tunnel') this.#upstreamSink?.end('');
    else if (this.#phase === 'head') this.#close('');
    // The client has gone (a client that only ends its half looks the same, and servers agree to not tell).
    else if (this.#phase !== 'closing') this.destroy();
  }

  #onClose(): void {
    if (this.#phase === 'closed') return;
    this.#phase = 'closed';
    this.#input.take();
    this.#context.connections.delete(this);
    this.#exchange.abandon();
  }
}
