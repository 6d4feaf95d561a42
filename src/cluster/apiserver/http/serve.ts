import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { ApiError } from '../../../api/status.ts';
import type { UserInfo } from '../../../api/user.ts';
import type { Clock } from '../../../lib/clock.ts';
import { inTurn } from '../../../lib/in-turn.ts';
import type { Logger } from '../../../observe/log.ts';
import { isPublic } from '../authorize.ts';
import type { ServiceAccountTokens } from '../identity/service-account-tokens.ts';
import type { Resources } from '../resources.ts';
import { requireOffered } from '../served-resource.ts';
import { breakOff, type Exchange, flag, isGone } from './exchange.ts';
import type { Limits } from './limits.ts';
import type { requestMetrics } from './metrics.ts';
import { parseResourcePath } from './paths.ts';
import { refuseUpgrade, sendError } from './respond.ts';
import { enter, infoOf, type RouterOptions, route } from './router.ts';
import { whoAsks } from './who-asks.ts';

export interface DoorOptions {
  router: RouterOptions;
  tokens: ServiceAccountTokens | undefined;
  measure: ReturnType<typeof requestMetrics>;
  clock: Clock;
  log: Logger;
  limits: Limits;
  /** Aborts when the server stops. */
  stopping: AbortSignal;
}

/** How long an answer that says that time is up may take to reach the client. */
const farewellMs = 1000;

/**
 * The door of the server: every request comes in here, and whatever goes wrong with one stays in here. Requests on one
 * HTTP/1.1 connection are answered one after the other, so that what is pipelined waits as a request, not as an answer.
 */
export class Door {
  readonly #options: DoorOptions;
  readonly #running = new Set<Promise<void>>();
  readonly #bodies = { heldBytes: 0 };
  #requests = 0;
  #longRunning = 0;

  constructor(options: DoorOptions) {
    this.#options = options;
  }

  /** Answers a request. Never throws, and leaves no promise behind that rejects. */
  accept(request: IncomingMessage, response: ServerResponse): void {
    const serve = () => this.#serve(request, response);
    const serving = request.httpVersionMajor === 1 ? inTurn(request.socket, response, serve) : serve();
    const served = serving.catch((error: unknown) => {
      this.#options.log.error({ err: error, path: request.url }, 'a request could not even be refused');
      response.destroy();
    });
    this.#running.add(served);
    void served.then(() => this.#running.delete(served)); // `served` does not reject.
  }

  /**
   * Hands a connection to what goes on in another protocol on it, through the same door as any request. Never throws,
   * and leaves no promise behind that rejects.
   */
  upgrade(request: IncomingMessage, socket: TLSSocket, head: Buffer): void {
    socket.on('error', () => socket.destroy()); // HTTP has let go of the socket: nobody else listens to its errors.
    const before = socket.bytesWritten;
    this.#upgrade(request, socket, head).catch((error: unknown) => {
      const { limits, log } = this.#options;
      if (socket.destroyed) return; // The client has broken off, or the server stops.
      if (!(error instanceof ApiError)) log.error({ err: error, path: request.url }, 'an upgraded connection failed');
      if (socket.bytesWritten > before) socket.destroy();
      else refuseUpgrade(error, socket, limits);
    });
  }

  async #upgrade(request: IncomingMessage, socket: TLSSocket, head: Buffer): Promise<void> {
    const { pathname: path, searchParams: query } = parseUrl(request.url ?? '/');
    const user = whoAsks(request, this.#options.tokens);
    if (!user) throw unauthorized();
    const info = infoOf(
      enter({ method: request.method ?? 'GET', path, query, user }, this.#options.router.pipeline),
      user,
    );
    const stream = requireOffered(info);
    if (stream?.type !== 'stream' || !stream.upgrade)
      throw new ApiError(501, 'NotImplemented', `${path} has only HTTP`);
    const leave = this.#enterLongRunning();
    try {
      const { pipeline } = this.#options.router;
      await stream.upgrade(info, { query, headers: request.headers, socket, head }, pipeline);
    } finally {
      leave();
    }
  }

  /** Resolves when what runs now has ended. */
  async settled(): Promise<void> {
    await Promise.all(this.#running);
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { clock, limits, measure, router, stopping } = this.#options;
    const { pathname, searchParams } = parseUrl(request.url ?? '/');
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    const exchange: Exchange = {
      request,
      response,
      method: request.method ?? 'GET',
      path: pathname,
      query: searchParams,
      user: anonymous,
      signal: AbortSignal.any([gone.signal, stopping]),
      clock,
      limits,
      bodies: this.#bodies,
    };
    let leave = () => {};
    try {
      measure.begin(exchange);
      response.setHeader('audit-id', auditId(request));
      response.setHeader('cache-control', 'no-cache, private');
      response.setHeader('x-kubernetes-pf-flowschema-uid', flowSchemaUid);
      response.setHeader('x-kubernetes-pf-prioritylevel-uid', priorityLevelUid);
      const user = whoAsks(request, this.#options.tokens);
      if (!user && !isPublic(pathname)) throw unauthorized();
      if (user) exchange.user = user;
      leave = this.#enter(exchange);
      await route(exchange, router);
    } catch (error) {
      await this.#fail(exchange, error);
    } finally {
      leave();
    }
  }

  /** Counts the request in, until the returned function is called; 429 when there are too many. */
  #enter(exchange: Exchange): () => void {
    const { clock, limits } = this.#options;
    if (isPublic(exchange.path)) return () => {};
    if (isLongRunning(exchange, this.#options.router.pipeline.resources)) {
      return this.#enterLongRunning();
    }
    if (this.#requests >= limits.requestsMax) throw tooMany(`${limits.requestsMax} requests`);
    this.#requests++;
    const cancel = clock.after(limits.requestMs, () => this.#expire(exchange));
    const { response } = exchange;
    const leave = () => {
      response.off('close', leave);
      cancel();
      this.#requests--;
    };
    // An answer that nobody reads counts until its time is up.
    return () => {
      if (response.writableFinished || isGone(exchange)) leave();
      else response.once('close', leave);
    };
  }

  #enterLongRunning(): () => void {
    const { longRunningMax } = this.#options.limits;
    if (this.#longRunning >= longRunningMax) throw tooMany(`${longRunningMax} watches`);
    this.#longRunning++;
    return () => this.#longRunning--;
  }

  #expire(exchange: Exchange): void {
    const { clock, limits, log } = this.#options;
    const { response } = exchange;
    if (response.headersSent) {
      breakOff(exchange);
      return;
    }
    const message = `the request did not complete within ${limits.requestMs / 1000} s`;
    if (exchange.request.httpVersionMajor === 1) response.setHeader('connection', 'close');
    sendError(exchange, new ApiError(504, 'Timeout', message)).catch((error: unknown) =>
      log.error({ err: error }, 'the end of a request could not be told'),
    );
    clock.after(farewellMs, () => breakOff(exchange));
  }

  async #fail(exchange: Exchange, error: unknown): Promise<void> {
    const { method, path, request, response, signal } = exchange;
    if (isGone(exchange) && signal.aborted) return; // Nobody is there to hear it, and going away is what went wrong.
    if (!(error instanceof ApiError)) this.#options.log.error({ err: error, method, path }, 'request failed');
    if (response.headersSent) {
      breakOff(exchange); // The answer has begun: breaking it off is the only way left to say that it is not whole.
      return;
    }
    // What is left of the body is dropped as it comes; on HTTP/1.1 the connection cannot be used again.
    request.resume();
    if (!request.readableEnded && request.httpVersionMajor === 1 && hasBody(request))
      response.setHeader('connection', 'close');
    await sendError(exchange, error);
  }
}

const unauthorized = () => new ApiError(401, 'Unauthorized', 'Unauthorized');

const tooMany = (what: string) =>
  new ApiError(429, 'TooManyRequests', `the server is at ${what}, which is all it serves at once: try again later`, {
    retryAfterSeconds: 1,
  });

/** Watches and streams end when their clients like. */
function isLongRunning({ method, path, query }: Exchange, resources: Resources): boolean {
  if (method !== 'GET') return false;
  if (flag(query, 'watch')) return true;
  const named = parseResourcePath(path);
  if (!named || named.isWatchPath) return named !== undefined;
  const resource = resources.find(named.group, named.version, named.plural);
  return resource?.subresources.get(named.subresource ?? '')?.type === 'stream';
}

/** Who has shown neither certificate nor token; it gets no further than to what everybody may know. */
const anonymous: UserInfo = { name: 'system:anonymous', groups: ['system:unauthenticated'] };
function parseUrl(url: string): URL {
  try {
    return new URL(url, 'https://localhost');
  } catch {
    return new URL('https://localhost/%00'); // Not a path of ours: it is answered with 404.
  }
}

/** Kubernetes keeps a client's own id, so that one request can be followed through proxies. */
function auditId(request: IncomingMessage): string {
  const given = request.headers['audit-id'];
  return typeof given === 'string' && /^[\w-]{1,64}$/.test(given) ? given : randomUUID();
}

const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;

/** Clients look for these headers of API Priority and Fairness; the values mean nothing here. */
const flowSchemaUid = '00000000-0000-4000-8000-000000000001';
const priorityLevelUid = '00000000-0000-4000-8000-000000000002';
