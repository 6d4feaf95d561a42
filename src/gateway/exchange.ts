import type { Backend, Waiter } from './backend.ts';
import type { GatewayContext } from './context.ts';
import type { Endpoint } from './endpoint.ts';
import type { RequestHead } from './http1/request-head.ts';
import { requestDeadlineMs } from './request-deadline.ts';

/** One request on its way through a revision: where it is, and how far it has come. A connection uses one for all. */
export class Exchange {
  backend: Backend | undefined;
  /** Where it holds a slot. */
  endpoint: Endpoint | undefined;
  /** What goes upstream at first: the head, and a small body that came with it. */
  upstreamHead = '';
  /** Sending the request again does no harm, and all of it is in `upstreamHead`. */
  isReplayable = false;
  /** Of the reply under way; 0 before its head was sent. */
  status = 0;
  hasInterim = false;
  lastReplyMs = 0;
  readonly #context: GatewayContext;
  #arrivedMs = 0;

  constructor(context: GatewayContext) {
    this.#context = context;
  }

  get hasReply(): boolean {
    return this.status !== 0;
  }

  get arrivedMs(): number {
    return this.#arrivedMs;
  }

  /** For messages. */
  get revision(): string {
    const target = this.backend?.target;
    return target === undefined ? 'the revision' : `revision ${target.namespace}/${target.name}`;
  }

  begin(backend: Backend): void {
    const nowMs = this.#context.clock.monotonic();
    this.#arrivedMs = nowMs;
    this.lastReplyMs = nowMs;
    this.backend = backend;
    backend.counters.arrive(nowMs);
  }

  /** A byte of the reply has come. */
  noteReply(): void {
    this.lastReplyMs = this.#context.coarseMs;
  }

  /** By the revision's limits; undefined when no revision has the request. */
  deadlineMs(): number | undefined {
    const { backend } = this;
    return backend === undefined ? undefined : requestDeadlineMs(backend.target, this);
  }

  /** Connecting failed: the slot is given up for a place at the head of the queue. */
  retry(waiter: Waiter): void {
    const { backend, endpoint } = this;
    this.endpoint = undefined;
    if (backend === undefined || endpoint === undefined) return;
    backend.counters.connectFailures++;
    backend.retry(waiter, endpoint);
  }

  /** Frees the slot or the place in the queue, and counts the request; `outcome` is an index of `outcomes`. */
  end(waiter: Waiter, request: RequestHead, peer: string, outcome: number): void {
    const { backend, endpoint } = this;
    if (backend === undefined) return;
    this.backend = undefined;
    this.endpoint = undefined;
    const nowMs = this.#context.clock.monotonic();
    backend.counters.end(nowMs, nowMs - this.#arrivedMs, outcome);
    backend.cancel(waiter);
    if (endpoint !== undefined) backend.release(endpoint);
    if (this.#context.accessLogEvery !== 0) this.#logAccess(backend, request, peer, nowMs - this.#arrivedMs);
  }

  #logAccess({ target }: Backend, request: RequestHead, peer: string, durationMs: number): void {
    const { counters, accessLogEvery, log } = this.#context;
    if (counters.ended++ % accessLogEvery !== 0) return;
    const { method, host, target: path } = request;
    const revision = `${target.namespace}/${target.name}`;
    log.info({ method, host, path, status: this.status, durationMs, revision, peer }, 'request');
  }
}
