import type { Socket } from 'node:net';
import { owned, readInto } from './accepted-socket.ts';
import type { Backend, Waiter } from './backend.ts';
import type { GatewayContext } from './context.ts';
import type { Endpoint } from './endpoint.ts';
import { forwardHead, type Peer, peerOf } from './forward-head.ts';
import { findHeadEnd } from './http1/head-end.ts';
import { isIdempotent, RequestHead, readRequestHead } from './http1/request-head.ts';
import { HttpSyntaxError } from './http1/syntax.ts';
import {
  badGateway,
  bodyTooLarge,
  headTimeout,
  noPath,
  noRoute,
  queueFull,
  type Reply,
  replyText,
  requestTimeout,
} from './replies.ts';
import { RequestBody } from './request-body.ts';
import { requestDeadlineMs } from './request-deadline.ts';
import { clientClosed } from './revision-counters.ts';
import { chooseSplit, matchRoute } from './router.ts';
import { UpstreamConnection } from './upstream-connection.ts';

type Phase = 'head' | 'waiting' | 'proxying' | 'tunnel' | 'closing' | 'closed';

/** A request that may not be sent twice only goes out on a connection that was in use this recently. */
const freshMs = 1_000;

/**
 * One client's connection: reads its requests, one after the other, and sees each through to the end of its reply. The
 * state of the present request is held in fields that the next one overwrites.
 *
 *   head ──▶ waiting (for a slot) ──▶ proxying ──▶ head …
 *                                        └──▶ tunnel (101)      any ──▶ closing (after the last reply) ──▶ closed
 */
export class ClientConnection implements Waiter {
  readonly socket: Socket;
  readonly request = new RequestHead();
  previousWaiter: Waiter | undefined;
  nextWaiter: Waiter | undefined;
  isQueued = false;
  readonly #context: GatewayContext;
  readonly #peer: Peer;
  readonly #body: RequestBody;
  #phase: Phase = 'head';
  /** Received, not yet used. */
  #input: Buffer | undefined;
  /** How much of the input has been searched for the head's end. */
  #searched = 0;
  #isAdvancing = false;
  #backend: Backend | undefined;
  #endpoint: Endpoint | undefined;
  #upstream: UpstreamConnection | undefined;
  #upstreamHead = '';
  #arrivedMs = 0;
  #lastReplyMs = 0;
  /** Of the reply under way; 0 before its head was sent. */
  #status = 0;
  #deadlineMs: number;

  constructor(context: GatewayContext, socket: Socket) {
    this.#context = context;
    this.#peer = peerOf(socket.remoteAddress);
    this.socket = readInto(socket, (bytes) => this.#onData(bytes));
    this.#body = new RequestBody(context.limits);
    this.#deadlineMs = context.coarseMs + context.limits.headTimeoutMs;
    context.connections.add(this);
    this.socket.on('drain', () => this.#upstream?.resumeReading());
    this.socket.on('end', () => this.#onEnd());
    // What matters of an error is the close that follows.
    this.socket.on('error', () => {});
    this.socket.on('close', () => this.#onClose());
  }

  /** Whether the whole request has been passed on. */
  get isRequestSent(): boolean {
    return this.#body.isDone;
  }

  /** No request is under way. */
  get isIdle(): boolean {
    return this.#phase === 'head' && this.#input === undefined;
  }

  start(endpoint: Endpoint): void {
    this.#phase = 'proxying';
    this.#endpoint = endpoint;
    const idleMsMax = isIdempotent(this.request.method) ? Number.POSITIVE_INFINITY : freshMs;
    const pooled = endpoint.take(this.#context.coarseMs, idleMsMax);
    if (pooled === undefined) this.#connect(endpoint);
    else this.#send(pooled);
  }

  upstreamConnected(upstream: UpstreamConnection): void {
    this.#setDeadline();
    this.#send(upstream);
  }

  /** Nothing of the request was sent: it waits for another try, on any endpoint, until its own deadline. */
  connectFailed(why: string): void {
    const backend = this.#backend;
    const endpoint = this.#endpoint;
    if (backend === undefined || endpoint === undefined) return;
    this.#context.log.debug({ endpoint: `${endpoint.host}:${endpoint.port}`, why }, 'connecting failed');
    backend.counters.connectFailures++;
    this.#upstream = undefined;
    this.#endpoint = undefined;
    this.#phase = 'waiting';
    this.#setDeadline();
    backend.retry(this, endpoint);
  }

  /** The connection ended before the reply did. `isStale`: it had been idle, and not a byte came back. */
  upstreamFailed(why: string, isStale: boolean): void {
    const endpoint = this.#endpoint;
    this.#upstream = undefined;
    if (this.#phase === 'tunnel') {
      this.#destroy();
      return;
    }
    if (isStale && endpoint !== undefined && this.#isReplayable()) {
      this.#connect(endpoint);
      return;
    }
    if (this.#backend !== undefined) this.#backend.counters.badReplies++;
    if (this.#status !== 0) {
      this.#destroy();
      return;
    }
    this.#replyAndClose(badGateway(this.#revision(), why));
  }

  /** The reply's head is about to be written; returns whether the connection stays open after it. */
  beginReply(status: number): boolean {
    this.#status = status;
    const isKeepAlive = this.request.isKeepAlive && !this.#context.isDraining;
    if (!isKeepAlive) this.request.isKeepAlive = false;
    this.#lastReplyMs = this.#context.coarseMs;
    this.#setDeadline();
    return isKeepAlive;
  }

  noteReplyBytes(): void {
    this.#lastReplyMs = this.#context.coarseMs;
  }

  beginTunnel(): void {
    this.#phase = 'tunnel';
    this.#status = 101;
    this.#setDeadline();
    const early = this.#takeInput();
    if (early !== undefined) this.#onData(early);
    this.socket.resume();
  }

  replyEnded(): void {
    this.#upstream = undefined;
    this.#endRequest(Math.floor(this.#status / 100) - 1);
    if (!this.request.isKeepAlive || !this.#body.isDone) {
      this.#close('');
      return;
    }
    this.#awaitHead();
    this.#advance();
  }

  /** Reads on after upstream could not take more. */
  resumeReading(): void {
    if (this.#phase === 'tunnel' || (this.#phase === 'proxying' && !this.#body.isDone)) this.socket.resume();
  }

  /** Acts when the deadline of what goes on has passed. */
  sweep(nowMs: number): void {
    if (nowMs < this.#deadlineMs) return;
    switch (this.#phase) {
      case 'head':
        if (this.#input === undefined) this.#destroy();
        else this.#refuse(headTimeout);
        return;
      case 'waiting':
      case 'proxying':
        this.#onRequestDeadline(nowMs);
        return;
      case 'tunnel':
        this.#setDeadline();
        if (nowMs >= this.#deadlineMs) this.#destroy();
        return;
      default:
        this.#destroy();
    }
  }

  /** For the end of a drain: at once, whatever goes on. */
  destroy(): void {
    this.#destroy();
  }

  #onData(bytes: Buffer): void {
    switch (this.#phase) {
      case 'head':
        this.#input = this.#input === undefined ? bytes : Buffer.concat([this.#input, bytes]);
        this.#advance();
        if (this.#input !== undefined) this.#input = owned(this.#input);
        return;
      case 'proxying':
        if (this.#body.isDone || this.#upstream === undefined || this.#upstream.isConnecting) this.#stash(bytes);
        else this.#sendBody(bytes, this.#upstream);
        return;
      case 'waiting':
        this.#stash(bytes);
        return;
      case 'tunnel':
        if (this.#upstream?.tunnel(bytes) === false) this.socket.pause();
        return;
      default: // What comes behind the last request is of no use.
    }
  }

  #stash(bytes: Buffer): void {
    this.#input = this.#input === undefined ? owned(bytes) : Buffer.concat([this.#input, bytes]);
    if (this.#input.length >= this.#context.limits.stashBytes) this.socket.pause();
  }

  #takeInput(): Buffer | undefined {
    const input = this.#input;
    this.#input = undefined;
    return input;
  }

  /** Reads requests from the input until one needs to wait for something. */
  #advance(): void {
    if (this.#isAdvancing) return;
    this.#isAdvancing = true;
    try {
      while (this.#phase === 'head' && this.#input !== undefined) {
        if (!this.#readHead(this.#input)) break;
        this.#route();
      }
    } catch (error) {
      if (!(error instanceof HttpSyntaxError)) throw error;
      this.#refuse({ status: error.status, body: error.message });
    } finally {
      this.#isAdvancing = false;
    }
  }

  /** Returns whether a whole head was there; it is taken off the input. */
  #readHead(input: Buffer): boolean {
    const { limits } = this.#context;
    // RFC 9112 §2.2: an empty line in front of a request line is ignored.
    const start = input[0] === 0x0d && input[1] === 0x0a ? 2 : 0;
    const end = findHeadEnd(input, start, Math.max(start, this.#searched));
    if (end === -1 ? input.length - start > limits.headBytes : end - start > limits.headBytes) {
      throw tooLong(input, limits.headBytes, limits.targetBytes);
    }
    if (end === -1) {
      if (this.#searched === 0) this.#deadlineMs = this.#context.coarseMs + limits.headTimeoutMs;
      this.#searched = input.length;
      if (input.length > limits.targetBytes + 64 && input.indexOf(0x0a, start) === -1) {
        throw tooLong(input, limits.headBytes, limits.targetBytes);
      }
      return false;
    }
    this.#searched = 0;
    readRequestHead(input.toString('latin1', start, end), this.request, limits);
    this.#input = end === input.length ? undefined : input.subarray(end);
    return true;
  }

  #route(): void {
    const { request } = this;
    const { router, clock, limits } = this.#context;
    this.#status = 0;
    this.#body.begin(request);
    const routes = router.routesOf(request.host);
    if (routes === undefined) {
      this.#replyLocally(noRoute(request.host));
      return;
    }
    const route = matchRoute(routes, request.target, request.fields);
    const split = route && chooseSplit(route, Math.random);
    if (route === undefined || split === undefined) {
      this.#replyLocally(noPath(request.host));
      return;
    }
    if (request.contentLength > limits.bodyBytes) {
      this.#replyLocally(bodyTooLarge(limits.bodyBytes));
      return;
    }
    const { backend } = split;
    const nowMs = clock.monotonic();
    this.#arrivedMs = nowMs;
    this.#lastReplyMs = nowMs;
    this.#backend = backend;
    this.#upstreamHead = forwardHead(request, route, split, this.#peer);
    this.#phase = 'waiting';
    this.#setDeadline();
    backend.counters.arrive(nowMs);
    const endpoint = backend.acquire(this);
    if (endpoint === 'full') {
      backend.counters.rejected++;
      this.#replyAndClose(queueFull(this.#revision()));
    } else if (endpoint !== 'queued') {
      this.start(endpoint);
    }
  }

  #connect(endpoint: Endpoint): void {
    this.#upstream = new UpstreamConnection(this.#context, endpoint, this);
    this.#deadlineMs = Math.min(this.#deadlineMs, this.#context.coarseMs + this.#context.limits.connectTimeoutMs);
  }

  #send(upstream: UpstreamConnection): void {
    this.#upstream = upstream;
    upstream.begin(this);
    if (this.#body.isDone) {
      upstream.socket.write(this.#upstreamHead, 'latin1');
      return;
    }
    const { socket } = upstream;
    const bytes = this.#takeInput();
    const whole = bytes === undefined ? '' : this.#body.takeWhole(bytes);
    if (whole !== '') {
      socket.write(this.#upstreamHead + whole, 'latin1');
      return;
    }
    socket.cork();
    socket.write(this.#upstreamHead, 'latin1');
    if (bytes !== undefined) this.#sendBody(bytes, upstream);
    socket.uncork();
    if (!socket.writableNeedDrain) this.socket.resume();
  }

  /** Passes on what of `bytes` belongs to the body; the rest is the next request's. */
  #sendBody(bytes: Buffer, upstream: UpstreamConnection): void {
    let end: number;
    try {
      end = this.#body.pass(bytes, upstream.socket);
    } catch (error) {
      if (!(error instanceof HttpSyntaxError)) throw error;
      if (this.#status === 0) {
        this.#replyAndClose({ status: error.status, body: error.message });
        return;
      }
      this.#destroy();
      return;
    }
    if (end < bytes.length) this.#stash(bytes.subarray(end));
    if (upstream.socket.writableNeedDrain && !this.#body.isDone) this.socket.pause();
  }

  #isReplayable(): boolean {
    return isIdempotent(this.request.method) && this.request.framing === 'none' && this.request.upgrade === '';
  }

  #onRequestDeadline(nowMs: number): void {
    this.#setDeadline();
    if (nowMs < this.#deadlineMs) {
      // Only connecting has taken too long, or a byte came since the deadline was set.
      if (this.#upstream?.isConnecting === true) {
        this.#upstream.destroy();
        this.connectFailed('connecting took too long');
      }
      return;
    }
    if (this.#status === 0) this.#replyAndClose(requestTimeout);
    else this.#destroy();
  }

  /** From the revision's limits and how far the request has come. */
  #setDeadline(): void {
    const target = this.#backend?.target;
    if (target === undefined) return;
    this.#deadlineMs = requestDeadlineMs(target, {
      arrivedMs: this.#arrivedMs,
      lastReplyMs: this.#lastReplyMs,
      hasReply: this.#status !== 0,
      isTunnel: this.#phase === 'tunnel',
    });
  }

  #awaitHead(): void {
    this.#phase = 'head';
    this.#deadlineMs = this.#context.coarseMs + this.#context.limits.clientIdleMs;
    if (this.socket.isPaused()) this.socket.resume();
  }

  /** A reply of the gateway itself, to a request that no revision has seen. */
  #replyLocally(reply: Reply): void {
    const { localReplies } = this.#context.counters;
    localReplies.set(reply.status, (localReplies.get(reply.status) ?? 0) + 1);
    const isKeepAlive = this.request.isKeepAlive && this.#body.isDone && !this.#context.isDraining;
    const text = replyText(reply, this.#context.dateField, this.request.method === 'HEAD', isKeepAlive);
    if (!isKeepAlive) {
      this.#close(text);
      return;
    }
    this.socket.write(text);
    this.#awaitHead();
  }

  /** For input that is no request: there is no telling where a next one would begin. */
  #refuse(reply: Reply): void {
    this.request.method = '';
    this.request.isKeepAlive = false;
    this.#replyLocally(reply);
  }

  /** A reply of the gateway itself in place of the revision's. */
  #replyAndClose(reply: Reply): void {
    const isHead = this.request.method === 'HEAD';
    this.#upstream?.destroy();
    this.#upstream = undefined;
    this.#endRequest(Math.floor(reply.status / 100) - 1);
    this.#close(replyText(reply, this.#context.dateField, isHead, false));
  }

  /** Frees the slot and counts the request. */
  #endRequest(outcome: number): void {
    const backend = this.#backend;
    const endpoint = this.#endpoint;
    if (backend === undefined) return;
    this.#backend = undefined;
    this.#endpoint = undefined;
    const nowMs = this.#context.clock.monotonic();
    backend.counters.end(nowMs, nowMs - this.#arrivedMs, outcome);
    if (this.#context.accessLogEvery !== 0) this.#logAccess(backend, nowMs - this.#arrivedMs);
    backend.cancel(this);
    if (endpoint !== undefined) backend.release(endpoint);
  }

  #logAccess({ target }: Backend, durationMs: number): void {
    const { counters, accessLogEvery, log } = this.#context;
    if (counters.ended++ % accessLogEvery !== 0) return;
    const { method, host, target: path } = this.request;
    const revision = `${target.namespace}/${target.name}`;
    log.info({ method, host, path, status: this.#status, durationMs, revision, peer: this.#peer.address }, 'request');
  }

  #revision(): string {
    const target = this.#backend?.target;
    return target === undefined ? 'the revision' : `revision ${target.namespace}/${target.name}`;
  }

  /** Sends `text`, ends the stream, and waits for the client to do the same: closing at once could lose the reply. */
  #close(text: string): void {
    this.#phase = 'closing';
    this.#input = undefined;
    this.#deadlineMs = this.#context.coarseMs + this.#context.limits.lingerMs;
    if (text === '') this.socket.end();
    else this.socket.end(text);
    this.socket.resume();
  }

  #onEnd(): void {
    switch (this.#phase) {
      case 'tunnel':
        this.#upstream?.socket.end();
        return;
      case 'closing':
        return;
      case 'head':
        this.#close('');
        return;
      default:
        // The client has gone (a client that only ends its half looks the same, and servers agree to not tell).
        this.#destroy();
    }
  }

  #destroy(): void {
    this.socket.destroy();
    this.#onClose();
  }

  #onClose(): void {
    if (this.#phase === 'closed') return;
    this.#phase = 'closed';
    this.#input = undefined;
    this.#context.connections.delete(this);
    this.#upstream?.destroy();
    this.#upstream = undefined;
    this.#endRequest(this.#status === 101 ? 0 : clientClosed);
  }
}

function tooLong(input: Buffer, headBytes: number, targetBytes: number): HttpSyntaxError {
  const lineEnd = input.indexOf(0x0a);
  return lineEnd === -1 || lineEnd > targetBytes + 64
    ? new HttpSyntaxError(414, `the request target is longer than ${targetBytes} bytes`)
    : new HttpSyntaxError(431, `the request head is longer than ${headBytes} bytes`);
}
