import type { IncomingMessage } from 'node:http';
import { ApiError, apiErrorOf, type Status } from '../../api/status.ts';
import { type KittiwakeError, messageOf } from '../../lib/errors.ts';
import { sameJson } from '../../lib/same-json.ts';
import { kubeErrors } from '../errors.ts';
import type { Connection } from './connection.ts';
import {
  closeIdle,
  type HttpRequest,
  NoConnection,
  StaleConnection,
  send,
  type Target,
  type Timeouts,
  targetOf,
} from './send.ts';

export interface TransportOptions {
  /** Nothing from the server for this long is a failure (watches excepted); 30 s unless given. */
  replyTimeoutMs?: number;
  /** A whole reply that takes longer is one, too, however it drips in; 150 s unless given. */
  wholeReplyTimeoutMs?: number;
  /** A longer reply is refused before it fills memory; 256 MiB unless given. */
  replyMaxBytes?: number;
}

/**
 * Sends requests to one API server over connections that stay open.
 *
 *     may be repeated (GET, PUT, DELETE,     a kept connection; when the server had closed that one,
 *     PATCH but JSON Patch)                  again on a new one
 *     may not (POST, JSON Patch)             a new connection: it cannot be stale
 *
 * Where to, and as whom, is asked again (`connect`) when the server cannot be reached or answers 401: when that gives
 * something else, the request is tried once more with it.
 */
export class Transport {
  readonly #connect: () => Promise<Connection>;
  readonly #options: Required<TransportOptions>;
  #target: Promise<Target> | undefined;
  /** Where the last request went, for messages. */
  #server = '';

  constructor(connect: () => Promise<Connection>, options: TransportOptions = {}) {
    this.#connect = connect;
    this.#options = { replyTimeoutMs: 30_000, wholeReplyTimeoutMs: 150_000, replyMaxBytes: 256 << 20, ...options };
  }

  /** The parsed JSON reply. Throws ApiError for a status of 400 or more, API_UNREACHABLE when there is no reply. */
  async json(request: HttpRequest): Promise<unknown> {
    const { replyTimeoutMs, wholeReplyTimeoutMs, replyMaxBytes } = this.#options;
    const response = await this.stream(request, { silenceMs: replyTimeoutMs });
    const tooSlow = () => response.destroy(new Error(`the reply was not complete within ${wholeReplyTimeoutMs} ms`));
    const timer = setTimeout(tooSlow, wholeReplyTimeoutMs);
    let text: string;
    try {
      text = await readText(response, replyMaxBytes);
    } catch (error) {
      throw this.#unreachable(error);
    } finally {
      clearTimeout(timer);
    }
    try {
      return JSON.parse(text);
    } catch {
      const said = text.slice(0, 200).trim();
      throw new Error(`the answer of ${this.#server} to ${request.method} ${request.path} is not JSON: ${said}`);
    }
  }

  /** The reply as it comes in, once its status is known to be good. */
  async stream(
    request: HttpRequest,
    { silenceMs, headMs = this.#options.replyTimeoutMs }: Pick<Timeouts, 'silenceMs'> & Partial<Timeouts>,
  ): Promise<IncomingMessage> {
    const target = await this.#current();
    const timeouts = { silenceMs, headMs };
    let response: IncomingMessage;
    try {
      response = await this.#sendWell(target, request, timeouts);
      if (response.statusCode === 401) {
        const renewed = await this.#renewed(target);
        if (renewed) {
          response.destroy();
          response = await this.#sendWell(renewed, request, timeouts);
        }
      }
    } catch (error) {
      if (request.signal?.aborted) throw request.signal.reason;
      throw this.#unreachable(error);
    }
    if ((response.statusCode ?? 500) < 400) return response;
    throw await errorOf(response);
  }

  /** Sends it once more where that can do no harm: the server has not seen it, or may see it twice. */
  async #sendWell(target: Target, request: HttpRequest, timeouts: Timeouts): Promise<IncomingMessage> {
    try {
      return await send(target, request, timeouts, isRepeatable(request) ? 'kept' : 'new');
    } catch (error) {
      if (error instanceof StaleConnection) return await send(target, request, timeouts, 'new');
      const renewed = error instanceof NoConnection && !request.signal?.aborted && (await this.#renewed(target));
      if (!renewed) throw error;
      return await send(renewed, request, timeouts, 'new');
    }
  }

  async #current(): Promise<Target> {
    this.#target ??= this.#connect().then(targetOf);
    try {
      const target = await this.#target;
      this.#server = target.connection.server;
      return target;
    } catch (error) {
      this.#target = undefined;
      throw error;
    }
  }

  /** Where `connect` now says to go, when that is not what `target` is. */
  async #renewed(target: Target): Promise<Target | undefined> {
    this.#forget();
    const renewed = await this.#current();
    return sameJson(renewed.connection, target.connection) ? undefined : renewed;
  }

  #unreachable(error: unknown): KittiwakeError {
    this.#forget();
    const cause = error instanceof StaleConnection || error instanceof NoConnection ? error.cause : error;
    const reason = messageOf(cause) || String((cause as NodeJS.ErrnoException).code);
    return kubeErrors.API_UNREACHABLE({ server: this.#server, reason }, { cause });
  }

  /** Asks `connect` before the next request. What is under way on the old connections goes on. */
  #forget(): void {
    const old = this.#target;
    this.#target = undefined;
    // A target that could not be made has no connections.
    old?.then((target) => closeIdle(target)).catch(() => {});
  }
}

/** Twice is as good as once: what is written is what is asked for, and a version that was meant is not met again. */
const isRepeatable = ({ method, contentType }: HttpRequest): boolean =>
  method !== 'POST' && contentType !== 'application/json-patch+json';

async function readText(response: IncomingMessage, maxBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBytes) throw new Error(`the reply is longer than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** At most this much of an error's body is read. */
const errorBodyMax = 1 << 20;

async function errorOf(response: IncomingMessage): Promise<ApiError> {
  const code = response.statusCode ?? 500;
  let text = '';
  try {
    for await (const chunk of response) {
      text += String(chunk);
      if (text.length > errorBodyMax) break;
    }
  } catch {
    // The status is what counts; what came of the body is used.
  }
  try {
    return apiErrorOf(JSON.parse(text) as Status, code);
  } catch {
    // Not a Status: a proxy's page, say. Its text is the best message there is.
    return new ApiError(code, 'Unknown', text.slice(0, 1024).trim() || `the server answered ${code}`);
  }
}
