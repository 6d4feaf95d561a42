import type { IncomingMessage, RequestOptions } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { ApiError, type Status } from '../../api/status.ts';
import { KittiwakeError, messageOf } from '../../lib/errors.ts';
import { Agent as HttpAgent, request as httpRequest } from '../../lib/node-http.ts';
import type { Connection } from './connection.ts';

export interface HttpRequest {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** With its query. */
  path: string;
  body?: unknown;
  /** `application/json` unless given. */
  contentType?: string;
  /** `application/json` unless given; for example the media type of a Table. */
  accept?: string;
  signal?: AbortSignal;
}

/** A reply that takes longer than this is a failure (watches excepted). */
const replyTimeoutMs = 30_000;

/**
 * Sends requests to one API server over connections that stay open. When the server cannot be reached, the next
 * request asks `connect` again: a server that came back elsewhere, or with new credentials, is found.
 */
export class Transport {
  readonly #connect: () => Promise<Connection>;
  #target: Promise<Target> | undefined;
  /** Where the last request went, for messages. */
  #server = '';

  constructor(connect: () => Promise<Connection>) {
    this.#connect = connect;
  }

  /** The parsed JSON reply. Throws ApiError for a status of 400 or more, API_UNREACHABLE when there is no reply. */
  async json(request: HttpRequest): Promise<unknown> {
    const response = await this.stream(request, replyTimeoutMs);
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of response) chunks.push(chunk as Buffer);
    } catch (error) {
      throw this.#unreachable(error);
    }
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  }

  /** The reply as it comes in, once its status is known to be good. `timeoutMs` is of silence on the connection. */
  async stream(request: HttpRequest, timeoutMs: number): Promise<IncomingMessage> {
    const target = await this.#current();
    this.#server = target.server;
    let response: IncomingMessage;
    try {
      response = await send(target, request, timeoutMs);
    } catch (error) {
      if (request.signal?.aborted) throw request.signal.reason;
      // The server closed an idle connection just as we used it: reading again on a new one is harmless.
      if (!(request.method === 'GET' && error instanceof StaleConnection)) throw this.#unreachable(error);
      response = await send(target, request, timeoutMs).catch((again: unknown) => {
        throw this.#unreachable(again);
      });
    }
    if ((response.statusCode ?? 500) < 400) return response;
    throw await errorOf(response);
  }

  async #current(): Promise<Target> {
    this.#target ??= this.#connect().then(targetOf);
    try {
      return await this.#target;
    } catch (error) {
      this.#target = undefined;
      throw error;
    }
  }

  #unreachable(error: unknown): KittiwakeError {
    this.#target = undefined;
    const cause = error instanceof StaleConnection ? error.cause : error;
    const reason = messageOf(cause) || String((cause as NodeJS.ErrnoException).code);
    return new KittiwakeError('API_UNREACHABLE', { server: this.#server, reason }, { cause });
  }
}

interface Target {
  server: string;
  request: typeof httpRequest;
  options: RequestOptions;
  /** Of the server's URL; without a slash at its end. */
  basePath: string;
  headers: Record<string, string>;
}

function targetOf(connection: Connection): Target {
  const url = new URL(connection.server);
  const isTls = url.protocol === 'https:';
  const { ca, cert, key, serverName } = connection;
  const pool = { keepAlive: true, keepAliveMsecs: 30_000, maxFreeSockets: 4 };
  const agent = isTls
    ? new HttpsAgent({
        ...pool,
        ...(ca === undefined ? {} : { ca }),
        ...(cert === undefined ? {} : { cert }),
        ...(key === undefined ? {} : { key }),
        ...(serverName === undefined ? {} : { servername: serverName }),
        rejectUnauthorized: !connection.isInsecure,
      })
    : new HttpAgent(pool);
  return {
    server: connection.server,
    request: isTls ? httpsRequest : httpRequest,
    options: { agent, hostname: url.hostname.replace(/^\[|\]$/g, ''), port: url.port || (isTls ? 443 : 80) },
    basePath: url.pathname.replace(/\/$/, ''),
    headers: connection.token === undefined ? {} : { authorization: `Bearer ${connection.token}` },
  };
}

/** The peer closed a kept-alive connection before it saw the request. */
class StaleConnection extends Error {}

function send(target: Target, request: HttpRequest, timeoutMs: number): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const body = request.body === undefined ? undefined : Buffer.from(JSON.stringify(request.body));
    const options: RequestOptions = {
      ...target.options,
      method: request.method,
      path: target.basePath + request.path,
      timeout: timeoutMs,
      headers: {
        ...target.headers,
        accept: request.accept ?? 'application/json',
        'user-agent': 'kittiwake',
        ...(body && { 'content-type': request.contentType ?? 'application/json', 'content-length': body.length }),
      },
    };
    if (request.signal) options.signal = request.signal;
    const outgoing = target.request(options, resolve);
    outgoing.once('timeout', () => outgoing.destroy(new Error(`no reply within ${timeoutMs} ms`)));
    outgoing.once('error', (error: NodeJS.ErrnoException) => {
      const isStale = outgoing.reusedSocket && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
      reject(isStale ? new StaleConnection('stale connection', { cause: error }) : error);
    });
    outgoing.end(body);
  });
}

/** At most this much of an error's body is read. */
const errorBodyMax = 1 << 20;

async function errorOf(response: IncomingMessage): Promise<ApiError> {
  const code = response.statusCode ?? 500;
  let text = '';
  for await (const chunk of response) {
    text += String(chunk);
    if (text.length > errorBodyMax) break;
  }
  try {
    return apiErrorOf(JSON.parse(text) as Status, code);
  } catch {
    // Not a Status: a proxy's page, say. Its text is the best message there is.
    return new ApiError(code, 'Unknown', text.slice(0, 1024).trim() || `the server answered ${code}`);
  }
}

/** The error that a Status tells of. Throws TypeError when `status` is not one. */
export function apiErrorOf(status: Status, code = status.code ?? 500): ApiError {
  if (status.kind !== 'Status') throw new TypeError('not a Status');
  return new ApiError(code, status.reason ?? 'Unknown', status.message ?? `status ${code}`, status.details ?? {});
}
