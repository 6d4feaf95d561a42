import type { IncomingMessage } from 'node:http';
import { ApiError, apiErrorOf, type Status } from '../../api/status.ts';
import { type KittiwakeError, messageOf } from '../../lib/errors.ts';
import { readSome, readWhole } from '../../lib/http-body.ts';
import { HttpClient, NoReplyError, type Target, targetOf } from '../../lib/http-client.ts';
import { sameJson } from '../../lib/same-json.ts';
import { kubeErrors } from '../errors.ts';
import type { Connection } from './connection.ts';

export interface ApiRequest {
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

export interface TransportOptions {
  /** Nothing from the server for this long is a failure (watches excepted); 30 s unless given. */
  replyTimeoutMs?: number;
  /** A whole reply that takes longer is one, too, however it drips in; 150 s unless given. */
  wholeReplyTimeoutMs?: number;
  /** A longer reply is refused before it fills memory; 256 MiB unless given. */
  replyMaxBytes?: number;
}

interface Timeouts {
  /** Of the connection, once the reply has begun. */
  silenceMs: number;
  /** Until the reply begins. */
  headMs?: number;
  wholeMs?: number;
}

/** A server, as whom we come to it, and the connections to it. */
interface Server {
  connection: Connection;
  client: HttpClient;
  target: Target;
}

/**
 * Sends requests to one API server. Where to, and as whom, is asked again (`connect`) when the server cannot be reached
 * or answers 401: when that gives something else, the request is tried once more with it.
 */
export class Transport {
  readonly #connect: () => Promise<Connection>;
  readonly #options: Required<TransportOptions>;
  #server: Promise<Server> | undefined;
  /** Where the last request went, for messages. */
  #url = '';

  constructor(connect: () => Promise<Connection>, options: TransportOptions = {}) {
    this.#connect = connect;
    this.#options = { replyTimeoutMs: 30_000, wholeReplyTimeoutMs: 150_000, replyMaxBytes: 256 << 20, ...options };
  }

  /** The parsed JSON reply. Throws ApiError for a status of 400 or more, API_UNREACHABLE when there is no reply. */
  async json(request: ApiRequest): Promise<unknown> {
    const { replyTimeoutMs, wholeReplyTimeoutMs, replyMaxBytes } = this.#options;
    const response = await this.stream(request, { silenceMs: replyTimeoutMs, wholeMs: wholeReplyTimeoutMs });
    let text: string;
    try {
      text = (await readWhole(response, replyMaxBytes)).toString('utf8');
    } catch (error) {
      throw this.#unreachable(error);
    }
    try {
      return JSON.parse(text);
    } catch {
      const said = text.slice(0, 200).trim();
      throw new Error(`the answer of ${this.#url} to ${request.method} ${request.path} is not JSON: ${said}`);
    }
  }

  /** The reply as it comes in, once its status is known to be good. */
  async stream(request: ApiRequest, timeouts: Timeouts): Promise<IncomingMessage> {
    const server = await this.#current();
    let response: IncomingMessage;
    try {
      response = await this.#sendWell(server, request, timeouts);
      if (response.statusCode === 401) {
        const renewed = await this.#renewed(server);
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

  /** Sends it to where the server is now, when nobody was there who could have seen it. */
  async #sendWell(server: Server, request: ApiRequest, timeouts: Timeouts): Promise<IncomingMessage> {
    try {
      return await this.#send(server, request, timeouts);
    } catch (error) {
      const isUnseen = error instanceof NoReplyError && error.reached === 'nobody' && !request.signal?.aborted;
      const renewed = isUnseen && (await this.#renewed(server));
      if (!renewed) throw error;
      return await this.#send(renewed, request, timeouts);
    }
  }

  #send({ connection, client, target }: Server, request: ApiRequest, timeouts: Timeouts): Promise<IncomingMessage> {
    const { method, path, body, accept = 'application/json', contentType = 'application/json', signal } = request;
    const headers = ['accept', accept, 'user-agent', 'kittiwake'];
    if (connection.token !== undefined) headers.push('authorization', `Bearer ${connection.token}`);
    if (body !== undefined) headers.push('content-type', contentType);
    return client.send({
      ...{ method, headers, signal, isRepeatable: isRepeatable(request) },
      target: { ...target, path: target.path + path },
      body: body === undefined ? undefined : Buffer.from(JSON.stringify(body)),
      headMs: this.#options.replyTimeoutMs,
      ...timeouts,
    });
  }

  async #current(): Promise<Server> {
    this.#server ??= this.#connect().then(serverOf);
    try {
      const server = await this.#server;
      this.#url = server.connection.server;
      return server;
    } catch (error) {
      this.#server = undefined;
      throw error;
    }
  }

  /** Where `connect` now says to go, when that is not what `server` is. */
  async #renewed(server: Server): Promise<Server | undefined> {
    this.#forget();
    const renewed = await this.#current();
    return sameJson(renewed.connection, server.connection) ? undefined : renewed;
  }

  #unreachable(cause: unknown): KittiwakeError {
    this.#forget();
    return kubeErrors.API_UNREACHABLE({ server: this.#url, reason: messageOf(cause) }, { cause });
  }

  /** Asks `connect` before the next request. What is under way on the old connections goes on. */
  #forget(): void {
    const old = this.#server;
    this.#server = undefined;
    // One that could not be made has no connections.
    old?.then(({ client }) => client.closeIdle()).catch(() => {});
  }
}

/** Nothing is connected before the first request. */
function serverOf(connection: Connection): Server {
  const { server, ca, cert, key, serverName, isInsecure } = connection;
  const tls = {
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
    ...(serverName !== undefined && { servername: serverName }),
    rejectUnauthorized: !isInsecure,
  };
  const target = targetOf(server, { tls });
  target.path = target.path.replace(/\/$/, '');
  return { connection, client: new HttpClient({ idleMax: 4 }), target };
}

/** Twice is as good as once: what is written is what is asked for, and a version that was meant is not met again. */
const isRepeatable = ({ method, contentType }: ApiRequest): boolean =>
  method !== 'POST' && contentType !== 'application/json-patch+json';

/** At most this much of an error's body is read. */
const errorBodyMax = 1 << 20;

async function errorOf(response: IncomingMessage): Promise<ApiError> {
  const code = response.statusCode ?? 500;
  // The status is what counts; what came of the body is used.
  const text = await readSome(response, errorBodyMax);
  try {
    return apiErrorOf(JSON.parse(text) as Status, code);
  } catch {
    // Not a Status: a proxy's page, say. Its text is the best message there is.
    return new ApiError(code, 'Unknown', text.slice(0, 1024).trim() || `the server answered ${code}`);
  }
}
