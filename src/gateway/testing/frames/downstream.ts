import type { Socket } from 'node:net';
import { readInto } from '../../accepted-socket.ts';
import type { GatewayContext } from '../../context.ts';
import { Exchange } from '../../exchange.ts';
import { type Peer, peerOf } from '../../forward-fields.ts';
import { bodyTooLarge, type Reply } from '../../replies.ts';
import type { BodySink, Connection, Downstream, ExchangeReply, ExchangeRequest } from '../../sides.ts';
import { StallWatch } from '../../stall-watch.ts';
import { type FrameHandler, type FrameHead, FrameLink, type FrameStream, preface } from './link.ts';

/** A client's connection with as many exchanges at once as it likes. */
export class FramesConnection implements Connection {
  readonly #context: GatewayContext;
  readonly #socket: Socket;
  readonly #link: FrameLink;
  readonly #streams = new Set<FramesDownstream>();
  readonly #stall = new StallWatch();
  #isDraining = false;

  constructor(context: GatewayContext, socket: Socket, first: Buffer) {
    this.#context = context;
    this.#socket = readInto(socket, (bytes) => this.#guarded(() => this.#link.read(bytes)));
    const peer = peerOf(socket.remoteAddress);
    this.#link = new FrameLink(this.#socket, (stream) => {
      const one = new FramesDownstream(context, stream, peer, this.#onEnded);
      if (!this.#isDraining) this.#streams.add(one);
      return this.#isDraining ? undefined : one;
    });
    context.connections.add(this);
    this.#socket.on('drain', () => this.#guarded(() => this.#link.onDrain()));
    this.#socket.on('end', () => this.destroy());
    this.#socket.on('error', () => {}); // What matters of an error is the close that follows.
    this.#socket.on('close', () => this.destroy());
    this.#guarded(() => this.#link.read(first.subarray(preface.length)));
  }

  get heldBytes(): number {
    return [...this.#streams].reduce((sum, { exchange }) => sum + exchange.heldBytes, this.#link.heldBytes);
  }

  stalledMs(nowMs: number): number {
    const streams = [...this.#streams].map(({ exchange }) => exchange.stalledMs(nowMs));
    return Math.max(this.#stall.look(this.#socket, nowMs), ...streams);
  }

  sweep(): void {
    const { coarseMs, limits } = this.#context;
    if (this.stalledMs(coarseMs) >= limits.stallMs) this.destroy();
    for (const { exchange } of this.#streams) this.#guarded(() => exchange.sweep(coarseMs));
  }

  drain(): void {
    this.#isDraining = true;
    if (this.#streams.size === 0) this.#socket.end();
  }

  shed(): void {
    this.#context.counters.shed++;
    for (const { exchange } of this.#streams) exchange.shed();
  }

  destroy(): void {
    this.#socket.destroy();
    this.#context.connections.delete(this);
    for (const { exchange } of this.#streams) exchange.abandon();
    this.#streams.clear();
  }

  readonly #onEnded = (stream: FramesDownstream): void => {
    this.#streams.delete(stream);
    if (this.#isDraining && this.#streams.size === 0) this.#socket.end();
  };

  #guarded(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#context.reportFault(error);
      this.destroy();
    } finally {
      this.#context.quarantine.leave();
    }
  }
}

/** One of its streams: the client's side of one exchange. */
class FramesDownstream implements Downstream, FrameHandler {
  readonly exchange: Exchange;
  readonly request: ExchangeRequest = { ...noRequest };
  readonly peer: Peer;
  readonly sink: FrameStream;
  readonly #context: GatewayContext;
  readonly #onEnded: (stream: FramesDownstream) => void;
  #bodyBytes = 0;
  #to: BodySink | undefined;
  #early: Buffer[] = [];
  #trailers: string | undefined;

  constructor(context: GatewayContext, stream: FrameStream, peer: Peer, onEnded: (stream: FramesDownstream) => void) {
    this.#context = context;
    this.sink = stream;
    this.peer = peer;
    this.#onEnded = onEnded;
    this.exchange = new Exchange(context, this);
  }

  onHead({ method = '', target = '', host = '', bodyBytes, fields }: FrameHead): void {
    Object.assign(this.request, { method, target, host, bodyBytes, fields });
    try {
      this.exchange.begin();
    } catch (error) {
      this.exchange.fault(error);
    }
  }

  onData(data: Buffer): void {
    this.#bodyBytes += data.length;
    if (this.#bodyBytes > this.#context.limits.bodyBytes) {
      this.exchange.fail(bodyTooLarge(this.#context.limits.bodyBytes));
      return;
    }
    if (this.#to === undefined) this.#early.push(Buffer.from(data));
    else this.#pass(data, this.#to);
  }

  onEnd(trailers: string): void {
    this.#trailers = trailers;
    this.#to?.end(trailers);
  }

  onReset(): void {
    this.exchange.abandon();
    this.#onEnded(this);
  }

  onWritable(): void {
    this.exchange.resumeReply();
  }

  takeBody(): string | undefined {
    return this.request.bodyBytes === 0 ? '' : undefined;
  }

  sendBody(sink: BodySink): void {
    this.#to = sink;
    for (const bytes of this.#early.splice(0)) this.#pass(bytes, sink);
    if (this.#trailers !== undefined) sink.end(this.#trailers);
  }

  dropBody(): void {
    this.#to = nowhere;
  }

  resume(): void {
    this.sink.grant();
  }

  interim({ status, reason, fields }: ExchangeReply): void {
    this.sink.sendHead({ status, reason, fields, bodyBytes: 0 });
  }

  reply({ status, reason, fields, bodyBytes, hasDate }: ExchangeReply, whole: string | undefined): void {
    const date = hasDate ? '' : this.#context.dateField;
    this.sink.sendHead({ status, reason, fields: `${fields}${date}`, bodyBytes });
    if (whole === undefined) return;
    this.sink.write(Buffer.from(whole, 'latin1'));
    this.sink.end('');
  }

  switchProtocols(): void {
    throw new Error('no upgrade was ever offered');
  }

  replyEnded(): void {
    this.sink.close();
    this.#onEnded(this);
  }

  answer({ status, body, fields = '' }: Reply): void {
    this.sink.sendHead({ status, fields, bodyBytes: body.length });
    this.sink.write(Buffer.from(body));
    this.sink.end('');
    this.sink.close();
    this.#onEnded(this);
  }

  abort(): void {
    this.sink.reset();
    this.#onEnded(this);
  }

  #pass(bytes: Buffer, to: BodySink): void {
    to.write(bytes);
    if (!to.isFull) this.sink.grant();
  }
}

const noRequest: ExchangeRequest = {
  ...{ method: '', target: '', host: '', bodyBytes: 0, upgrade: '', fields: '' },
  ...{ forwardedFor: '', forwardedProto: '', forwardedHost: '', forwarded: '', traceparent: '', requestId: '' },
};

const nowhere: BodySink = { isFull: false, write() {}, end() {}, cork() {}, uncork() {} };
