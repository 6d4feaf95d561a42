import type { Socket } from 'node:net';
import { workName } from '../lib/quarantine.ts';
import { readInto } from './accepted-socket.ts';
import type { Waiter } from './backend.ts';
import { ClientInput } from './client-input.ts';
import type { GatewayContext } from './context.ts';
import type { Endpoint } from './endpoint.ts';
import { Exchange } from './exchange.ts';
import { forwardHead, type Peer, peerOf } from './forward-head.ts';
import { isIdempotent, RequestHead } from './http1/request-head.ts';
import { HttpSyntaxError } from './http1/syntax.ts';
import * as replies from './replies.ts';
import { RequestBody } from './request-body.ts';
import { workOf } from './request-work.ts';
import { clientClosed } from './revision-counters.ts';
import { chooseSplit, matchRoute } from './router.ts';
import { StallWatch } from './stall-watch.ts';
import { UpstreamConnection } from './upstream-connection.ts';

type Event = 'data' | 'drain' | 'end' | 'close' | 'start' | 'sweep';
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
  /** What the present request is called, should it end the process. */
  readonly work = (): string => workOf(this.request);
  previousWaiter: Waiter | undefined;
  nextWaiter: Waiter | undefined;
  isQueued = false;
  readonly #context: GatewayContext;
  readonly #peer: Peer;
  readonly #body: RequestBody;
  #phase: Phase = 'head';
  readonly #input: ClientInput;
  readonly #stall = new StallWatch();
  readonly #upstreamStall = new StallWatch();
  #isAdvancing = false;
  /** The request under way, if it is at a revision. */
  readonly #exchange: Exchange;
  #upstream: UpstreamConnection | undefined;
  #deadlineMs: number;

  constructor(context: GatewayContext, socket: Socket) {
    this.#context = context;
    this.#peer = peerOf(socket.remoteAddress);
    this.socket = readInto(socket, (bytes) => this.#on('data', bytes));
    this.#input = new ClientInput(context.limits);
    this.#exchange = new Exchange(context);
    this.#body = new RequestBody(context.limits);
    this.#deadlineMs = context.coarseMs + context.limits.headTimeoutMs;
    context.connections.add(this);
    this.socket.on('drain', () => this.#on('drain'));
    this.socket.on('end', () => this.#on('end'));
    // What matters of an error is the close that follows.
    this.socket.on('error', () => {});
    this.socket.on('close', () => this.#on('close'));
  }

  /** Whether the whole request has been passed on. */
  get isRequestSent(): boolean {
    return this.#body.isDone;
  }

  /** No request is under way. */
  get isIdle(): boolean {
    return this.#phase === 'head' && this.#input.isEmpty;
  }

  /** Bytes that are here because somebody does not take them. */
  get heldBytes(): number {
    const upstreamBytes = this.#upstream === undefined ? 0 : this.#upstream.heldBytes;
    return this.#input.length + this.socket.writableLength + upstreamBytes;
  }

  start(endpoint: Endpoint): void {
    this.#exchange.endpoint = endpoint;
    this.#on('start');
  }

  /** Acts when the deadline of what goes on has passed, or a peer has stood still for too long. */
  sweep(): void {
    this.#on('sweep');
  }

  /** The one way in. Whatever goes wrong with this connection ends this connection, and nothing else. */
  #on(event: Event, bytes?: Buffer): void {
    try {
      if (bytes !== undefined) this.#onData(bytes);
      else if (event === 'drain') this.#onDrain();
      else if (event === 'end') this.#onEnd();
      else if (event === 'close') this.#onClose();
      else if (event === 'start') this.#start();
      else this.#sweep(this.#context.coarseMs);
    } catch (error) {
      this.fault(error);
    } finally {
      this.#context.quarantine.leave();
    }
  }

  /** Ends the connection after an error of the gateway's own, here or in the connection upstream. */
  fault(error: unknown): void {
    const { connections, reportFault } = this.#context;
    const { method, host, target } = this.request;
    reportFault(error, { method, host, path: target.slice(0, 200) });
    try {
      if (this.#phase === 'head') this.#refuse(replies.internalError);
      else if (this.#phase === 'waiting' || this.#phase === 'proxying') this.#fail(replies.internalError);
      else this.destroy();
    } catch (again) {
      reportFault(again);
      this.#phase = 'closed';
      connections.delete(this);
      this.socket.destroy();
    }
  }

  upstreamConnected(upstream: UpstreamConnection): void {
    this.#setDeadline();
    this.#send(upstream);
  }

  /** Nothing of the request was sent: it waits for another try, on any endpoint, until its own deadline. */
  connectFailed(why: string): void {
    const { endpoint } = this.#exchange;
    if (endpoint === undefined) return;
    this.#context.log.debug({ endpoint: `${endpoint.host}:${endpoint.port}`, why }, 'connecting failed');
    this.#upstream = undefined;
    this.#phase = 'waiting';
    this.#setDeadline();
    this.#exchange.retry(this);
  }

  /** The connection ended before the reply did. `isStale`: it had been idle, and not a byte came back. */
  upstreamFailed(why: string, isStale: boolean): void {
    const { endpoint, isReplayable, backend } = this.#exchange;
    this.#upstream = undefined;
    if (isStale && endpoint !== undefined && isReplayable) {
      this.#connect(endpoint);
      return;
    }
    if (backend !== undefined && this.#phase !== 'tunnel') backend.counters.badReplies++;
    this.#fail(replies.badGateway(this.#exchange.revision, why));
  }

  /** The connection upstream takes no more of the request; what has come of the reply is still to be read. */
  upstreamDeaf(): void {
    if (!this.#body.isDone) this.request.isKeepAlive = false;
    // Not to keep the client's bytes but to see it leave.
    this.socket.resume();
  }

  /**
   * The reply's head is about to be written; returns whether the connection stays open after it. `isLast`: the revision
   * closes its end after it, so that what has not been sent of the request has nowhere to go.
   */
  beginReply(status: number, isLast: boolean): boolean {
    this.#exchange.status = status;
    if (this.#context.isDraining || (isLast && !this.#body.isDone)) this.request.isKeepAlive = false;
    this.#exchange.noteReply();
    this.#setDeadline();
    return this.request.isKeepAlive;
  }

  noteInterimReply(): void {
    this.#exchange.hasInterim = true;
    this.#exchange.noteReply();
    this.#setDeadline();
  }

  noteReplyBytes(): void {
    this.#exchange.noteReply();
  }

  beginTunnel(): void {
    this.#phase = 'tunnel';
    this.#exchange.status = 101;
    this.#setDeadline();
    this.socket.resume();
    const early = this.#input.take();
    if (early !== undefined) this.#onData(early);
  }

  replyEnded(): void {
    this.#upstream = undefined;
    this.#endRequest(Math.floor(this.#exchange.status / 100) - 1);
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

  /** Gives up what it holds, because all connections together hold too much. */
  shed(): void {
    this.#context.counters.shed++;
    if (this.#phase === 'waiting') this.#replyAndClose(replies.overloaded);
    else this.destroy();
  }

  /** How long somebody has taken nothing of what this connection has for them. */
  stalledMs(nowMs: number): number {
    const ownMs = this.#stall.look(this.socket, nowMs);
    return Math.max(ownMs, this.#upstreamStall.look(this.#upstream?.socket, nowMs));
  }

  #start(): void {
    const { endpoint, isReplayable } = this.#exchange;
    if (endpoint === undefined) return;
    this.#phase = 'proxying';
    const pooled = endpoint.take(this.#context.coarseMs, isReplayable ? Number.POSITIVE_INFINITY : freshMs);
    if (pooled === undefined) this.#connect(endpoint);
    else this.#send(pooled);
  }

  #sweep(nowMs: number): void {
    if (this.stalledMs(nowMs) >= this.#context.limits.stallMs) {
      this.destroy();
      return;
    }
    if (nowMs < this.#deadlineMs) return;
    switch (this.#phase) {
      case 'head':
        if (this.#input.isEmpty) this.destroy();
        else this.#refuse(replies.headTimeout);
        return;
      case 'waiting':
      case 'proxying':
      case 'tunnel':
        this.#onRequestDeadline(nowMs);
        return;
      default:
        // A slow client still reads its last reply: only one that takes nothing is cut off.
        if (this.socket.writableLength > 0) this.#deadlineMs = nowMs + this.#context.limits.lingerMs;
        else this.destroy();
    }
  }

  #onDrain(): void {
    this.#upstream?.resumeReading();
    this.#advance();
  }

  #onData(bytes: Buffer): void {
    switch (this.#phase) {
      case 'head':
        this.#input.add(bytes);
        this.#advance();
        this.#input.keep();
        return;
      case 'proxying': {
        const upstream = this.#upstream;
        if (this.#body.isDone || upstream === undefined || upstream.isConnecting) this.#stash(bytes);
        else if (!upstream.isDeaf) this.#sendBody(bytes, upstream);
        return;
      }
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
    this.#input.add(bytes);
    this.#input.keep();
    if (this.#input.isFull) this.socket.pause();
  }

  /** Reads requests from the input until one needs to wait for something. */
  #advance(): void {
    if (this.#isAdvancing) return;
    this.#isAdvancing = true;
    try {
      while (this.#phase === 'head' && !this.#input.isEmpty) {
        // Who does not read its replies gets no more of them.
        if (this.socket.writableNeedDrain) break;
        const isContinued = this.#input.isInHead;
        if (!this.#input.readHead(this.request)) {
          if (!isContinued) this.#deadlineMs = this.#context.coarseMs + this.#context.limits.headTimeoutMs;
          break;
        }
        this.#route();
      }
      if (this.#phase !== 'head') return;
      if (this.socket.writableNeedDrain) this.socket.pause();
      else if (this.socket.isPaused()) this.socket.resume();
    } catch (error) {
      if (!(error instanceof HttpSyntaxError)) throw error;
      this.#refuse({ status: error.status, body: error.message });
    } finally {
      this.#isAdvancing = false;
    }
  }

  #route(): void {
    const { request } = this;
    const { router, limits, quarantine } = this.#context;
    quarantine.leave();
    quarantine.enter(this.work);
    if (quarantine.size > 0 && quarantine.isSetAside(this.work())) {
      this.#body.begin(request);
      this.#replyLocally(replies.setAside(workName(this.work())));
      return;
    }
    const exchange = this.#exchange;
    exchange.status = 0;
    exchange.hasInterim = false;
    this.#body.begin(request);
    const routes = router.routesOf(request.host);
    if (routes === undefined) {
      this.#replyLocally(replies.noRoute(request.host));
      return;
    }
    const route = matchRoute(routes, request.target, request.fields);
    const split = route && chooseSplit(route, Math.random);
    if (route === undefined || split === undefined) {
      this.#replyLocally(replies.noPath(request.host));
      return;
    }
    if (request.contentLength > limits.bodyBytes) {
      this.#replyLocally(replies.bodyTooLarge(limits.bodyBytes));
      return;
    }
    const { backend } = split;
    exchange.upstreamHead = forwardHead(request, route, split, this.#peer) + this.#body.takeWhole(this.#input);
    exchange.isReplayable = this.#body.isDone && request.upgrade === '' && isIdempotent(request.method);
    exchange.begin(backend);
    this.#phase = 'waiting';
    this.#setDeadline();
    const endpoint = backend.acquire(this);
    if (endpoint === 'full') {
      backend.counters.rejected++;
      this.#replyAndClose(replies.queueFull(exchange.revision));
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
    const { socket } = upstream;
    if (this.#body.isDone) {
      socket.write(this.#exchange.upstreamHead, 'latin1');
      return;
    }
    socket.cork();
    socket.write(this.#exchange.upstreamHead, 'latin1');
    const bytes = this.#input.take();
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
      this.#fail({ status: error.status, body: error.message });
      return;
    }
    if (end < bytes.length) this.#stash(bytes.subarray(end));
    if (upstream.socket.writableNeedDrain && !this.#body.isDone) this.socket.pause();
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
    this.#fail(replies.requestTimeout);
  }

  #setDeadline(): void {
    this.#deadlineMs = this.#exchange.deadlineMs() ?? this.#deadlineMs;
  }

  #awaitHead(): void {
    this.#phase = 'head';
    this.#deadlineMs = this.#context.coarseMs + this.#context.limits.clientIdleMs;
  }

  /** A reply of the gateway itself, to a request that no revision has seen. */
  #replyLocally(reply: replies.Reply): void {
    const { localReplies } = this.#context.counters;
    localReplies.set(reply.status, (localReplies.get(reply.status) ?? 0) + 1);
    const isKeepAlive = this.request.isKeepAlive && this.#body.isDone && !this.#context.isDraining;
    const text = replies.replyText(reply, this.#context.dateField, this.request.method === 'HEAD', isKeepAlive);
    if (!isKeepAlive) {
      this.#close(text);
      return;
    }
    this.socket.write(text);
    this.#awaitHead();
  }

  /** For input that is no request: there is no telling where a next one would begin. */
  #refuse(reply: replies.Reply): void {
    this.request.method = '';
    this.request.isKeepAlive = false;
    this.#replyLocally(reply);
  }

  /** Ends the request with `reply`, or by cutting the revision's reply when that has begun. */
  #fail(reply: replies.Reply): void {
    if (this.#exchange.hasReply) this.destroy();
    else this.#replyAndClose(reply);
  }

  /** A reply of the gateway itself in place of the revision's. */
  #replyAndClose(reply: replies.Reply): void {
    this.#upstream?.destroy();
    this.#upstream = undefined;
    this.#exchange.status = reply.status;
    this.#endRequest(Math.floor(reply.status / 100) - 1);
    this.#close(replies.replyText(reply, this.#context.dateField, this.request.method === 'HEAD', false));
  }

  #endRequest(outcome: number): void {
    this.#exchange.end(this, this.request, this.#peer.address, outcome);
  }

  /** Sends `text`, ends the stream, and waits for the client to do the same: closing at once could lose the reply. */
  #close(text: string): void {
    this.#phase = 'closing';
    this.#input.clear();
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
        this.destroy();
    }
  }

  /** At once, whatever goes on. */
  destroy(): void {
    this.socket.destroy();
    this.#onClose();
  }

  #onClose(): void {
    if (this.#phase === 'closed') return;
    this.#phase = 'closed';
    this.#input.clear();
    this.#context.connections.delete(this);
    this.#upstream?.destroy();
    this.#upstream = undefined;
    this.#endRequest(this.#exchange.status === 101 ? 0 : clientClosed);
  }
}
