import type { Socket } from 'node:net';
import { messageOf } from '../lib/errors.ts';
import { owned } from './accepted-socket.ts';
import type { ClientConnection } from './client-connection.ts';
import type { GatewayContext } from './context.ts';
import type { Endpoint } from './endpoint.ts';
import { ChunkedReader, type ChunkedSink } from './http1/chunked.ts';
import { findHeadEnd } from './http1/head-end.ts';
import { ResponseHead, readResponseHead } from './http1/response-head.ts';
import { HttpSyntaxError } from './http1/syntax.ts';
import { UpstreamSocket } from './upstream-socket.ts';

/** Replies up to this size leave with their head in one string; larger ones are passed on by reference. */
const inlineBodyBytes = 16 * 1024;

type Event = 'data' | 'connect' | 'drain' | 'end' | 'closed';
type State = 'idle' | 'connecting' | 'head' | 'body' | 'tunnel' | 'closed';

/**
 * A connection to one endpoint: reads replies as strictly as requests are read, and writes them to the client whose
 * request it carries. Its listeners are set once; which client they serve is a field.
 *
 *   connecting ──▶ head ──▶ body ──▶ idle ──▶ head …
 *                    └──▶ tunnel (101)            any ──▶ closed
 */
export class UpstreamConnection implements ChunkedSink {
  /** To write to; another one to read from when it is deaf. */
  socket: Socket;
  readonly endpoint: Endpoint;
  idleSinceMs = 0;
  /** When it is too old to carry another request (monotonic). */
  expiresMs = Number.POSITIVE_INFINITY;
  /** Has carried a request before the present one. */
  isReused = false;
  readonly #context: GatewayContext;
  readonly #head = new ResponseHead();
  #state: State = 'connecting';
  #client: ClientConnection | undefined;
  #input: Buffer | undefined;
  #bodyLeft = 0;
  #chunked: ChunkedReader | undefined;
  #hasReplyBytes = false;
  #interimCount = 0;
  /** Why nothing can be sent any more, if so. */
  #deafWhy = '';

  /** Connects, for `client`, which hears of the outcome. */
  constructor(context: GatewayContext, endpoint: Endpoint, client: ClientConnection) {
    this.#context = context;
    this.endpoint = endpoint;
    this.#client = client;
    const { host, port } = endpoint;
    const socket = new UpstreamSocket(
      (bytes) => this.#on('data', socket, bytes),
      (reader, error) => this.#onDeaf(reader, error),
    );
    this.socket = socket;
    socket.on('connect', () => this.#on('connect', socket));
    socket.on('drain', () => this.#on('drain', socket));
    this.#listen(socket);
    socket.connect({ host, port });
  }

  /** The client's request is about to be written. */
  begin(client: ClientConnection): void {
    this.#client = client;
    this.#state = 'head';
    this.#hasReplyBytes = false;
    this.#interimCount = 0;
  }

  /** Nothing more can be sent; what has come is still to be read. */
  get isDeaf(): boolean {
    return this.#deafWhy !== '';
  }

  get heldBytes(): number {
    return this.socket.writableLength + (this.#input === undefined ? 0 : this.#input.length);
  }

  get isConnecting(): boolean {
    return this.#state === 'connecting';
  }

  /** Reads on after the client could not take more. */
  resumeReading(): void {
    this.socket.resume();
  }

  /** Ends the connection without telling the client. */
  destroy(): void {
    this.#state = 'closed';
    this.#client = undefined;
    this.socket.destroy();
  }

  /** `bytes` came from the client after the switch of protocols. */
  tunnel(bytes: Buffer): boolean {
    return this.isDeaf || this.socket.write(owned(bytes));
  }

  onChunked(bytes: Buffer, start: number, end: number): void {
    this.#write(bytes.subarray(start, end));
  }

  onChunkedEnd(tail: string): void {
    this.#client?.socket.write(tail, 'latin1');
  }

  #listen(socket: Socket): void {
    socket.on('end', () => this.#on('end', socket));
    socket.on('error', (error) => this.#on('closed', socket, undefined, messageOf(error)));
    socket.on('close', () => this.#on('closed', socket));
  }

  /** The one way in. Whatever goes wrong ends this connection and the client's whose request it carries. */
  #on(event: Event, socket: Socket, bytes?: Buffer, why = 'the connection was closed'): void {
    // After a move of the handle only the new socket has something to say.
    if (socket !== this.socket && bytes === undefined) return;
    const client = this.#client;
    const { quarantine } = this.#context;
    if (client !== undefined) quarantine.enter(client.work);
    try {
      if (bytes !== undefined) this.#onData(bytes);
      else if (event === 'connect') this.#onConnect();
      else if (event === 'drain') client?.resumeReading();
      else if (event === 'end') this.#onEnd();
      else this.#onClosed(why);
    } catch (error) {
      this.destroy();
      this.endpoint.forget(this);
      if (client === undefined) this.#context.reportFault(error);
      else client.fault(error);
    } finally {
      quarantine.leave();
    }
  }

  #onDeaf(reader: Socket, error: Error): void {
    this.socket = reader;
    this.#deafWhy = messageOf(error);
    this.#listen(reader);
    this.#client?.upstreamDeaf();
  }

  #onConnect(): void {
    if (this.#state !== 'connecting') return;
    this.endpoint.connectSucceeded();
    this.#client?.upstreamConnected(this);
  }

  #onData(bytes: Buffer): void {
    const client = this.#client;
    if (client === undefined) {
      this.#onClosed('bytes came that belong to no reply');
      return;
    }
    this.#hasReplyBytes = true;
    try {
      if (this.#state === 'head') this.#onHeadBytes(bytes, client);
      else if (this.#state === 'body') this.#onBody(bytes, 0, client);
      else if (this.#state === 'tunnel') {
        client.noteReplyBytes();
        this.#write(bytes);
      }
    } catch (error) {
      if (!(error instanceof HttpSyntaxError)) throw error;
      this.#fail(error.message);
    }
  }

  #onHeadBytes(bytes: Buffer, client: ClientConnection): void {
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
      readResponseHead(input.toString('latin1', start, end), client.request.method, head, limits);
      if (head.status >= 200) {
        this.#onHead(input, end, client);
        return;
      }
      if (head.status === 101) {
        this.#onSwitch(input, end, client);
        return;
      }
      if (++this.#interimCount > limits.interimReplies) {
        throw new HttpSyntaxError(502, `it sent more than ${limits.interimReplies} interim replies (1xx)`);
      }
      client.noteInterimReply();
      if (!client.socket.write(`HTTP/1.1 ${head.statusLine}${head.fields}\r\n`, 'latin1')) this.socket.pause();
      start = end;
      if (start === input.length) return;
    }
  }

  #onHead(input: Buffer, end: number, client: ClientConnection): void {
    const head = this.#head;
    const { framing } = head;
    const text = this.#replyHead(client.beginReply(head.status, !head.isKeepAlive || this.isDeaf));
    const { socket } = client;
    this.#state = 'body';
    if (framing === 'none') {
      socket.write(text, 'latin1');
      this.#finish(end === input.length);
      return;
    }
    const available = input.length - end;
    if (framing === 'length' && available === head.contentLength && available <= inlineBodyBytes) {
      socket.write(text + input.toString('latin1', end), 'latin1');
      this.#finish(true);
      return;
    }
    if (framing === 'length') {
      this.#bodyLeft = head.contentLength;
    } else if (framing === 'chunked') {
      this.#chunked ??= new ChunkedReader();
      this.#chunked.begin();
    }
    if (available === 0) {
      socket.write(text, 'latin1');
      return;
    }
    socket.cork();
    socket.write(text, 'latin1');
    try {
      this.#onBody(input, end, client);
    } finally {
      socket.uncork();
    }
  }

  #onBody(bytes: Buffer, start: number, client: ClientConnection): void {
    client.noteReplyBytes();
    switch (this.#head.framing) {
      case 'length': {
        const length = Math.min(this.#bodyLeft, bytes.length - start);
        this.#bodyLeft -= length;
        this.onChunked(bytes, start, start + length);
        if (this.#bodyLeft === 0) this.#finish(start + length === bytes.length);
        return;
      }
      case 'chunked': {
        const chunked = this.#chunked;
        if (chunked === undefined) throw new Error('a chunked reply without its reader');
        const end = chunked.read(bytes, start, this, this.#context.limits);
        if (chunked.isDone) this.#finish(end === bytes.length);
        return;
      }
      case 'close':
        // Passed on in chunks: the client learns the end without losing its connection.
        client.socket.cork();
        client.socket.write(`${(bytes.length - start).toString(16)}\r\n`, 'latin1');
        this.onChunked(bytes, start, bytes.length);
        client.socket.write('\r\n', 'latin1');
        client.socket.uncork();
        return;
    }
  }

  #onSwitch(input: Buffer, end: number, client: ClientConnection): void {
    const head = this.#head;
    if (client.request.upgrade === '' || head.upgrade === '') {
      throw new HttpSyntaxError(502, 'it switches protocols though nobody asked for that');
    }
    this.#state = 'tunnel';
    const upgrade = `Connection: Upgrade\r\nUpgrade: ${head.upgrade}\r\n`;
    client.socket.write(`HTTP/1.1 ${head.statusLine}${head.fields}${upgrade}\r\n`, 'latin1');
    if (end < input.length) this.#write(input.subarray(end));
    client.beginTunnel();
  }

  #replyHead(isKeepAlive: boolean): string {
    const head = this.#head;
    const isChunked = head.framing === 'chunked' || head.framing === 'close';
    let connection = isKeepAlive ? '' : 'Connection: close\r\n';
    // Only as the advice of 426 (RFC 9110 §15.5.22) does Upgrade outlive the hop without a switch.
    if (head.upgrade !== '' && head.status === 426) {
      connection = `Upgrade: ${head.upgrade}\r\nConnection: ${isKeepAlive ? 'Upgrade' : 'Upgrade, close'}\r\n`;
    }
    return (
      `HTTP/1.1 ${head.statusLine}${head.fields}${isChunked ? 'Transfer-Encoding: chunked\r\n' : ''}` +
      `${head.hasDate ? '' : this.#context.dateField}${connection}\r\n`
    );
  }

  #write(bytes: Buffer): void {
    const client = this.#client;
    if (client !== undefined && bytes.length > 0 && !client.socket.write(owned(bytes))) this.socket.pause();
  }

  /** The reply is complete. `isClean`: nothing came behind it. */
  #finish(isClean: boolean): void {
    const client = this.#client;
    if (client === undefined) return;
    this.#client = undefined;
    const head = this.#head;
    const { limits, coarseMs } = this.#context;
    if (isClean && head.isKeepAlive && client.isRequestSent && !this.isDeaf) {
      this.#state = 'idle';
      this.isReused = true;
      this.idleSinceMs = coarseMs;
      const saidMs = head.keepAliveSeconds === -1 ? Number.POSITIVE_INFINITY : head.keepAliveSeconds * 1000 - 1000;
      this.expiresMs = coarseMs + Math.min(limits.upstreamIdleMs, saidMs);
      this.endpoint.give(this, limits.idlePerEndpoint);
    } else {
      this.destroy();
    }
    client.replyEnded();
  }

  #onEnd(): void {
    const client = this.#client;
    if (client !== undefined && this.#state === 'tunnel') {
      client.socket.end();
    } else if (client !== undefined && this.#state === 'body' && this.#head.framing === 'close') {
      client.socket.write('0\r\n\r\n', 'latin1');
      this.#finish(false);
    } else {
      this.#onClosed('the connection was closed');
    }
  }

  #onClosed(why: string): void {
    const wasState = this.#state;
    const client = this.#client;
    if (wasState === 'closed') return;
    this.destroy();
    if (wasState === 'idle') this.endpoint.forget(this);
    else if (wasState === 'connecting') client?.connectFailed(why);
    else client?.upstreamFailed(this.#deafWhy || why, this.isReused && !this.#hasReplyBytes);
  }

  #fail(why: string): void {
    const client = this.#client;
    this.destroy();
    client?.upstreamFailed(why, false);
  }
}
