import type { ClientRequest, IncomingMessage } from 'node:http';
import { request as httpsRequest, Agent as TlsAgent } from 'node:https';
import { timerMaxMs } from '../lib/clock.ts';
import { Agent, request as httpRequest } from '../lib/node-http.ts';
import type { ByteBudget } from './byte-budget.ts';
import { GrowingBuffer } from './growing-buffer.ts';

/** Where a URL leads: what to dial, and what to ask for there. */
export interface Target {
  url: string;
  isTls: boolean;
  host: string;
  port: number;
  path: string;
  /** The Host header. */
  authority: string;
  /** PEM of the authorities to trust. */
  ca?: string;
}

export interface HttpReply {
  status: number;
  /** Names and values in turn, as they came. */
  rawHeaders: string[];
  headers: IncomingMessage['headers'];
  /** Cut off after `bodyBytesMax`. */
  body: Buffer;
  isCut: boolean;
}

export interface PostOptions {
  /** For the whole exchange. */
  timeoutMs: number;
  /** Of the reply's body; the rest is not read. */
  bodyBytesMax: number;
  /** Shared with the other posts of one caller: replies that are on their way are held in memory. */
  budget?: ByteBudget;
  signal?: AbortSignal;
}

/** The peer gave no (whole) reply. `code` is Node's, or `TIMEOUT`. */
export class NoReplyError extends Error {
  readonly code: string;

  constructor(message: string, code: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'NoReplyError';
    this.code = code;
  }
}

/** The headers cannot be sent at all, to nobody: another attempt is of no use. Nothing was sent. */
export class UnsendableError extends Error {
  override readonly name = 'UnsendableError';
}

/**
 * Resolves a URL for dialling. Names under `.svc.cluster.local` are those of Services of the platform: the gateway is
 * dialled and finds them by the Host header.
 */
export function targetOf(url: string, options: { gatewayUrl?: string | undefined; ca?: string | undefined }): Target {
  const asked = new URL(url);
  const isPlatform = asked.hostname.endsWith('.svc.cluster.local') && options.gatewayUrl !== undefined;
  const dialled = isPlatform ? new URL(options.gatewayUrl ?? '') : asked;
  const isTls = dialled.protocol === 'https:';
  return {
    url,
    isTls,
    host: dialled.hostname.replace(/^\[|\]$/g, ''),
    port: Number(dialled.port) || (isTls ? 443 : 80),
    path: `${asked.pathname}${asked.search}`,
    authority: asked.host,
    ...(options.ca === undefined ? {} : { ca: options.ca }),
  };
}

/** Posts to targets over connections that are kept open. */
export class Poster {
  readonly #agent = new Agent({ keepAlive: true, maxFreeSockets: 128, scheduling: 'lifo' });
  readonly #tlsAgent = new TlsAgent({ keepAlive: true, maxFreeSockets: 128, scheduling: 'lifo' });

  /**
   * `headers` are names and values in turn, without Host and Content-Length. Rejects with NoReplyError, or with
   * UnsendableError. What it holds is bounded, whatever the peer does: does not read, sends without end, or nothing.
   */
  async post(target: Target, headers: readonly string[], body: Buffer | undefined, options: PostOptions) {
    try {
      return await this.#once(target, headers, body, options);
    } catch (error) {
      // The peer closed a kept connection while the request was on its way: that says nothing about the peer's health.
      if (error instanceof NoReplyError && error.code === staleConnection) {
        return await this.#once(target, headers, body, options);
      }
      throw error;
    }
  }

  close(): void {
    this.#agent.destroy();
    this.#tlsAgent.destroy();
  }

  async #once(target: Target, headers: readonly string[], body: Buffer | undefined, options: PostOptions) {
    const request = this.#start(target, headers, body);
    const watch = new Watch(request, options);
    try {
      return await exchange(request, watch, body, options);
    } catch (error) {
      throw noReply(error, watch);
    } finally {
      watch.stop();
      // The reply is all there, but the peer did not take the request: it would be kept for a peer that never reads.
      if (!request.writableFinished) request.destroy();
    }
  }

  #start(target: Target, headers: readonly string[], body: Buffer | undefined): ClientRequest {
    try {
      const request = (target.isTls ? httpsRequest : httpRequest)({
        agent: target.isTls ? this.#tlsAgent : this.#agent,
        method: 'POST',
        host: target.host,
        port: target.port,
        path: target.path,
        headers: ['host', target.authority, 'content-length', String(body?.length ?? 0), ...headers],
        ...(target.ca === undefined ? {} : { ca: target.ca }),
      });
      // Bounded by bytes (16 KiB); by count, Node would leave some out without a word.
      request.maxHeadersCount = 0;
      return request;
    } catch (error) {
      const cause = errorOf(error);
      if (unsendable.has(codeOf(cause))) throw new UnsendableError(cause.message, { cause });
      throw new NoReplyError(cause.message, codeOf(cause), { cause });
    }
  }
}

const unsendable = new Set(['ERR_INVALID_CHAR', 'ERR_INVALID_HTTP_TOKEN', 'ERR_HTTP_INVALID_HEADER_VALUE']);
/** Replies 1xx before the one that counts: more are no progress. */
const informationalMax = 32;

function exchange(request: ClientRequest, watch: Watch, body: Buffer | undefined, options: PostOptions) {
  return new Promise<HttpReply>((resolve, reject) => {
    let informational = 0;
    request.on('information', () => {
      if (++informational > informationalMax) request.destroy(new Error(`more than ${informationalMax} replies 1xx`));
    });
    request.on('response', (response) => {
      watch.hasResponse = true;
      readReply(response, options).then(resolve, reject);
    });
    request.on('error', reject);
    // Without a response there is none to wait for; an unwanted upgrade ends so, with no other event.
    request.on('close', () => {
      if (!watch.hasResponse) reject(new Error('the connection closed without a reply'));
    });
    request.end(body);
  });
}

const staleConnection = 'STALE_CONNECTION';

/** Ends the request when its time is up or its caller loses interest. */
class Watch {
  hasResponse = false;
  isTimedOut = false;
  readonly request: ClientRequest;
  readonly options: PostOptions;
  readonly #timer: NodeJS.Timeout;
  readonly #onAbort = () => this.request.destroy(new Error('aborted'));

  constructor(request: ClientRequest, options: PostOptions) {
    this.request = request;
    this.options = options;
    this.#timer = setTimeout(
      () => {
        this.isTimedOut = true;
        request.destroy(new Error('timeout'));
      },
      Math.min(options.timeoutMs, timerMaxMs),
    );
    options.signal?.addEventListener('abort', this.#onAbort, { once: true });
    if (options.signal?.aborted) this.#onAbort();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.options.signal?.removeEventListener('abort', this.#onAbort);
  }
}

function readReply(response: IncomingMessage, { bodyBytesMax, budget }: PostOptions): Promise<HttpReply> {
  const bytes = new GrowingBuffer();
  let taken = 0;
  const whole = new Promise<HttpReply>((resolve, reject) => {
    const finish = (isCut: boolean) => {
      const body = bytes.whole().subarray(0, bodyBytesMax);
      const { statusCode = 0, rawHeaders, headers } = response;
      resolve({ status: statusCode, rawHeaders, headers, body, isCut });
    };
    response.on('data', (chunk: Buffer) => {
      if (bytes.length > bodyBytesMax) return;
      if (budget && !budget.tryTake(chunk.length)) {
        response.destroy(new Error(`its replies hold ${budget.held} bytes that are not complete: too many at once`));
        return;
      }
      taken += chunk.length;
      bytes.push(chunk);
      if (bytes.length <= bodyBytesMax) return;
      finish(true);
      response.destroy();
    });
    response.on('end', () => finish(false));
    response.on('error', reject);
    response.on('close', () => {
      // An error costs 10 µs: only where there is one.
      if (!response.readableEnded) reject(new Error('the connection closed before the reply was complete'));
    });
  });
  return whole.finally(() => budget?.giveBack(taken));
}

function noReply(error: unknown, watch: Watch): NoReplyError {
  const cause = errorOf(error);
  if (watch.isTimedOut) {
    return new NoReplyError(`no reply within ${watch.options.timeoutMs} ms`, 'TIMEOUT', { cause });
  }
  const code = codeOf(cause);
  const isStale = watch.request.reusedSocket && !watch.hasResponse && /^(ECONNRESET|EPIPE)$/.test(code);
  return new NoReplyError(cause.message, isStale ? staleConnection : code, { cause });
}

const errorOf = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)));

const codeOf = (error: Error): string => ('code' in error ? String(error.code) : 'NO_REPLY');
