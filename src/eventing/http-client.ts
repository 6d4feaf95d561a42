import type { ClientRequest, IncomingMessage } from 'node:http';
import { request as httpsRequest, Agent as TlsAgent } from 'node:https';
import { Agent, request as httpRequest } from '../lib/node-http.ts';

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

  /** `headers` are names and values in turn, without Host and Content-Length. Rejects with NoReplyError. */
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

  #once(target: Target, headers: readonly string[], body: Buffer | undefined, options: PostOptions) {
    return new Promise<HttpReply>((resolve, reject) => {
      const length = String(body?.length ?? 0);
      const request = (target.isTls ? httpsRequest : httpRequest)({
        agent: target.isTls ? this.#tlsAgent : this.#agent,
        method: 'POST',
        host: target.host,
        port: target.port,
        path: target.path,
        headers: ['host', target.authority, 'content-length', length, ...headers],
        ...(target.ca === undefined ? {} : { ca: target.ca }),
      });
      const watch = new Watch(request, options);
      request.on('response', (response) => {
        watch.hasResponse = true;
        readReply(response, options.bodyBytesMax).then(resolve, (error) => reject(noReply(error, watch)));
      });
      request.on('error', (error) => reject(noReply(error, watch)));
      request.on('close', () => watch.stop());
      request.end(body);
    });
  }
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
      Math.min(options.timeoutMs, 2 ** 31 - 1),
    );
    options.signal?.addEventListener('abort', this.#onAbort, { once: true });
    if (options.signal?.aborted) this.#onAbort();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.options.signal?.removeEventListener('abort', this.#onAbort);
  }
}

function readReply(response: IncomingMessage, bodyBytesMax: number): Promise<HttpReply> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const finish = (isCut: boolean) => {
      const whole = chunks.length === 1 ? chunks[0] : undefined;
      const body = (whole ?? Buffer.concat(chunks)).subarray(0, bodyBytesMax);
      const { statusCode = 0, rawHeaders, headers } = response;
      resolve({ status: statusCode, rawHeaders, headers, body, isCut });
    };
    response.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      length += chunk.length;
      if (length <= bodyBytesMax) return;
      finish(true);
      response.destroy();
    });
    response.on('end', () => finish(false));
    response.on('error', reject);
    response.on('aborted', () => reject(new Error('the connection closed before the reply was complete')));
  });
}

function noReply(error: unknown, watch: Watch): NoReplyError {
  const cause = error instanceof Error ? error : new Error(String(error));
  if (watch.isTimedOut) {
    return new NoReplyError(`no reply within ${watch.options.timeoutMs} ms`, 'TIMEOUT', { cause });
  }
  const code = 'code' in cause ? String(cause.code) : 'NO_REPLY';
  const isStale = watch.request.reusedSocket && !watch.hasResponse && /^(ECONNRESET|EPIPE)$/.test(code);
  return new NoReplyError(cause.message, isStale ? staleConnection : code, { cause });
}
