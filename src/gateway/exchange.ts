import { workName } from '../lib/quarantine.ts';
import type { Backend, Waiter } from './backend.ts';
import type { GatewayContext } from './context.ts';
import type { Endpoint } from './endpoint.ts';
import { forwardFields, isGoingRound } from './forward-fields.ts';
import { isIdempotent } from './idempotent.ts';
import * as replies from './replies.ts';
import { requestDeadlineMs } from './request-deadline.ts';
import { clientClosed } from './revision-counters.ts';
import { chooseSplit, matchRoute } from './router.ts';
import type { Downstream, ExchangeReply, ExchangeRequest, Upstream } from './sides.ts';

/** How often a request that waits may lose its last route and find another. */
const reroutesMax = 5;

/**
 * One request and its reply, between the two sides that know their protocols (sides.ts): its route, its slot, its
 * deadline, another try, what is counted and logged of it. One object may serve one request after another.
 *
 *     begin ──▶ waiting ──▶ connecting ──▶ sent ──▶ replying ──▶ ended
 *       │          ▲            │   ▲       │ └──101──▶ tunnel ──▶ ended
 *       │          └───refused──┘   └─stale─┘
 *       │          (its last route goes: begin, from the routes by then)
 *       └──▶ answered: no backend was asked       any ──▶ failed: answered, or cut once the reply has begun
 *
 * Where a slot is free it waits no longer than a call, and where a connection is idle it connects no longer than that.
 * Invariant: from its arrival at a backend to its end it is counted as active there, and holds a slot (`#endpoint`) or
 * a place in the queue, never both.
 */
export class Exchange implements Waiter {
  readonly downstream: Downstream;
  readonly request: ExchangeRequest;
  /** What goes upstream as Host. */
  host = '';
  /** What goes upstream as header fields, without those of the framing. */
  fields = '';
  /** The whole body, as latin1, when it leaves with the head. */
  body: string | undefined;
  /** Sending the request again does no harm, and all of it is here. */
  isReplayable = false;
  /** What the request is called, should it end the process. */
  readonly work = (): string => workOf(this.request);
  /** Of the reply under way; 0 before its head was sent. */
  status = 0;
  hasInterim = false;
  arrivedMs = 0;
  lastReplyMs = 0;
  previousWaiter: Waiter | undefined;
  nextWaiter: Waiter | undefined;
  isQueued = false;
  readonly #context: GatewayContext;
  /** Undefined before and after the request is at one. */
  #backend: Backend | undefined;
  /** Where it holds a slot. */
  #endpoint: Endpoint | undefined;
  #upstream: Upstream | undefined;
  #deadlineMs = 0;
  #reroutes = 0;

  constructor(context: GatewayContext, downstream: Downstream) {
    this.#context = context;
    this.downstream = downstream;
    this.request = downstream.request;
  }

  get hasReply(): boolean {
    return this.status !== 0;
  }

  get heldBytes(): number {
    return this.#upstream === undefined ? 0 : this.#upstream.heldBytes;
  }

  /** How long the pod has taken nothing of what is here for it. */
  stalledMs(nowMs: number): number {
    return this.#upstream === undefined ? 0 : this.#upstream.stalledMs(nowMs);
  }

  // ── From the downstream ──

  /** A request has come: its head stands in `request`. */
  begin(): void {
    const { quarantine, clock } = this.#context;
    this.status = 0;
    this.hasInterim = false;
    this.body = undefined;
    this.#reroutes = 0;
    this.arrivedMs = clock.monotonic();
    this.lastReplyMs = this.arrivedMs;
    quarantine.leave();
    quarantine.enter(this.work);
    if (quarantine.size > 0 && quarantine.isSetAside(this.work())) {
      this.#refuse(replies.setAside(workName(this.work())));
      return;
    }
    this.#route(this.arrivedMs);
  }

  #route(nowMs: number): void {
    const { request, downstream } = this;
    const { isInside, router, limits } = this.#context;
    const routes = router.routesOf(request.host);
    if (routes === undefined || (routes[0]?.isClusterLocal && !isInside(downstream.peer.address))) {
      this.#refuse(replies.noRoute(request.host));
      return;
    }
    const route = matchRoute(routes, request);
    const split = route && chooseSplit(route, Math.random);
    if (route === undefined || split === undefined) {
      this.#refuse(replies.noPath(request.host));
      return;
    }
    if (isGoingRound(request)) {
      this.#refuse(replies.goingRound(request.host));
      return;
    }
    if (request.bodyBytes > limits.bodyBytes) {
      this.#refuse(replies.bodyTooLarge(limits.bodyBytes));
      return;
    }
    const { backend } = split;
    this.host = route.rewriteHost ?? request.host;
    this.fields = forwardFields(request, split, downstream.peer);
    this.body ??= downstream.takeBody();
    this.isReplayable = this.body !== undefined && request.upgrade === '' && isIdempotent(request.method);
    this.#backend = backend;
    backend.counters.arrive(nowMs);
    this.#setDeadline();
    const endpoint = backend.acquire(this);
    if (endpoint === 'full') {
      backend.counters.rejected++;
      this.fail(replies.queueFull(revisionOf(backend)));
    } else if (endpoint !== 'queued') {
      this.#start(endpoint);
    }
  }

  /** The client takes more of the reply again. */
  resumeReply(): void {
    this.#upstream?.resume();
  }

  /** The client has gone. */
  abandon(): void {
    this.#upstream?.abort();
    this.#end(this.status === 101 ? 0 : clientClosed);
  }

  /** Acts when a deadline has passed. */
  sweep(nowMs: number): void {
    if (nowMs < this.#deadlineMs) return;
    this.#setDeadline();
    if (nowMs >= this.#deadlineMs) {
      this.fail(replies.requestTimeout);
    } else if (this.#upstream?.isConnecting === true) {
      // Only connecting has taken too long; else a byte has come since the deadline was set.
      this.#upstream.abort();
      this.connectFailed('connecting took too long');
    }
  }

  /** Gives up what it holds. */
  shed(): void {
    if (this.#endpoint === undefined) this.fail(replies.overloaded);
    else this.#cut();
  }

  /** Ends the request with `reply`, or by cutting the revision's reply when that has begun. */
  fail(reply: replies.Reply): void {
    if (this.hasReply) {
      this.#cut();
      return;
    }
    if (this.#backend === undefined) this.#context.counters.countLocalReply(reply.status);
    this.#upstream?.abort();
    this.status = reply.status;
    this.#end(Math.floor(reply.status / 100) - 1);
    this.downstream.answer(reply, true);
  }

  /** Ends the request after an error of the gateway's own, on either side. */
  fault(error: unknown): void {
    const { reportFault } = this.#context;
    const { method, host, target } = this.request;
    reportFault(error, { method, host, path: target.slice(0, 200) });
    try {
      this.fail(replies.internalError);
    } catch (again) {
      reportFault(again);
      this.downstream.abort();
    }
  }

  // ── From the queue ──

  /** The one way in from there: whatever goes wrong with this request is no other's. */
  start(endpoint: Endpoint): void {
    try {
      this.#start(endpoint);
    } catch (error) {
      this.fault(error);
    } finally {
      this.#context.quarantine.leave();
    }
  }

  reroute(): void {
    const backend = this.#backend;
    if (backend === undefined) return;
    try {
      const nowMs = this.#context.clock.monotonic();
      this.#backend = undefined;
      backend.counters.leave(nowMs);
      if (++this.#reroutes > reroutesMax) this.fail(replies.reroutedTooOften);
      else this.#route(nowMs);
    } catch (error) {
      this.fault(error);
    } finally {
      this.#context.quarantine.leave();
    }
  }

  // ── From the upstream ──

  connected(): void {
    this.#setDeadline();
    this.#upstream?.send(this);
  }

  /** Nothing of the request was sent: it waits for another try, on any endpoint, until its own deadline. */
  connectFailed(why: string): void {
    const backend = this.#backend;
    const endpoint = this.#endpoint;
    if (backend === undefined || endpoint === undefined) return;
    this.#context.log.debug({ endpoint: `${endpoint.host}:${endpoint.port}`, why }, 'connecting failed');
    this.#upstream = undefined;
    this.#endpoint = undefined;
    this.#setDeadline();
    backend.counters.connectFailures++;
    backend.retry(this, endpoint);
  }

  /** The connection ended before the reply did. `isStale`: it had been idle, and not a byte came back. */
  upstreamFailed(why: string, isStale: boolean): void {
    const backend = this.#backend;
    const endpoint = this.#endpoint;
    if (backend === undefined || endpoint === undefined) return;
    this.#upstream = undefined;
    if (isStale && this.isReplayable) {
      this.#connect(endpoint, true);
      return;
    }
    if (this.status !== 101) backend.counters.badReplies++;
    this.fail(replies.badGateway(revisionOf(backend), why));
  }

  interim(reply: ExchangeReply): void {
    this.hasInterim = true;
    this.noteReplyBytes();
    this.#setDeadline();
    this.downstream.interim(reply);
  }

  /** The reply begins; see `Downstream.reply`. */
  reply(reply: ExchangeReply, whole: string | undefined, isLast: boolean): void {
    this.status = reply.status;
    this.noteReplyBytes();
    this.#setDeadline();
    this.downstream.reply(reply, whole, isLast);
  }

  /** The client and the revision speak another protocol from now on. */
  switchProtocols(reply: ExchangeReply): void {
    if (this.#upstream === undefined) return;
    this.status = reply.status;
    this.#setDeadline();
    this.downstream.switchProtocols(reply, this.#upstream.sink);
  }

  /** A byte of the reply has come. */
  noteReplyBytes(): void {
    this.lastReplyMs = this.#context.coarseMs;
  }

  /** All of the reply was written, and the upstream is free. */
  replyEnded(): void {
    this.#end(Math.floor(this.status / 100) - 1);
    this.downstream.replyEnded();
  }

  // ── Its steps ──

  /** A reply of the gateway itself, to a request that no revision has seen. */
  #refuse(reply: replies.Reply): void {
    this.#context.counters.countLocalReply(reply.status);
    this.downstream.answer(reply, false);
  }

  #start(endpoint: Endpoint): void {
    this.#endpoint = endpoint;
    this.#connect(endpoint, false);
  }

  #connect(endpoint: Endpoint, isNew: boolean): void {
    const { protocols, coarseMs, limits } = this.#context;
    endpoint.pool ??= protocols.upstream[endpoint.protocol]?.(this.#context, endpoint);
    if (endpoint.pool === undefined) throw new Error(`nobody here speaks ${endpoint.protocol}`);
    const upstream = endpoint.pool.upstream(this, isNew);
    this.#upstream = upstream;
    if (upstream.isConnecting) this.#deadlineMs = Math.min(this.#deadlineMs, coarseMs + limits.connectTimeoutMs);
    else upstream.send(this);
  }

  /** By the revision's limits. */
  #setDeadline(): void {
    if (this.#backend !== undefined) this.#deadlineMs = requestDeadlineMs(this.#backend.target, this);
  }

  #cut(): void {
    this.abandon();
    this.downstream.abort();
  }

  /** Frees the slot or the place in the queue, and counts the request; `outcome` is an index of `outcomes`. */
  #end(outcome: number): void {
    const backend = this.#backend;
    const endpoint = this.#endpoint;
    this.#upstream = undefined;
    if (backend === undefined) return;
    this.#backend = undefined;
    this.#endpoint = undefined;
    const nowMs = this.#context.clock.monotonic();
    backend.counters.end(nowMs, nowMs - this.arrivedMs, outcome);
    backend.cancel(this);
    if (endpoint !== undefined) backend.release(endpoint);
    if (this.#context.accessLogEvery !== 0) this.#logAccess(backend, nowMs - this.arrivedMs);
  }

  #logAccess(backend: Backend, durationMs: number): void {
    const { counters, accessLogEvery, log } = this.#context;
    if (counters.ended++ % accessLogEvery !== 0) return;
    const { method, host, target: path } = this.request;
    const { namespace, name } = backend.target;
    const peer = this.downstream.peer.address;
    log.info(
      { method, host, path, status: this.status, durationMs, revision: `${namespace}/${name}`, peer },
      'request',
    );
  }
}

/** For messages. */
function revisionOf({ target }: Backend): string {
  return `${target.revision === undefined ? 'Service' : 'revision'} ${target.namespace}/${target.name}`;
}

/** What a request is called when it is suspected: not by its query, which tells nothing of the code that it runs. */
function workOf({ method, host, target }: ExchangeRequest): string {
  const query = target.indexOf('?');
  return `${method} ${host} ${query === -1 ? target : target.slice(0, query)}`;
}
