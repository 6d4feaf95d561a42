/** The one way to talk HTTP to others; the gateway's data path alone has connections of its own. */
import type { ClientRequest, IncomingMessage } from 'node:http';
import { request as httpsRequest, Agent as TlsAgent } from 'node:https';
import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { timerMaxMs } from './clock.ts';
import { messageOf } from './errors.ts';
import { Agent, request as httpRequest } from './node-http.ts';

/** Where a request goes: what to dial, and what to ask for there. */
export interface Target {
  isTls: boolean;
  host: string;
  port: number;
  /** Dialled instead of host and port. */
  socketPath?: string;
  /** With its query. */
  path: string;
  /** The Host header. */
  authority: string;
  tls?: TlsOptions;
}

/** Certificates and keys are PEM texts. */
export interface TlsOptions {
  /** The authorities to trust. */
  ca?: string;
  cert?: string;
  key?: string;
  /** The name to expect in the peer's certificate, when it is not the host's. */
  servername?: string;
  rejectUnauthorized?: boolean;
}

export interface HttpRequest {
  method: string;
  target: Target;
  /** Names and values in turn, without Host; Content-Length only of a stream. */
  headers?: readonly string[] | undefined;
  /** A stream is made anew for another attempt. */
  body?: Buffer | (() => Readable) | undefined;
  /** Whether the peer may see it twice. */
  isRepeatable: boolean;
  /** Until the reply begins, once a stream is sent. */
  headMs?: number | undefined;
  /** Nothing comes or goes on the connection. */
  silenceMs?: number | undefined;
  /** Until the reply is complete. */
  wholeMs?: number | undefined;
  signal?: AbortSignal | undefined;
}

export interface HttpClientOptions {
  /** At once to one peer; without a bound where callers have theirs. */
  connectionsMax?: number;
  /** Kept for later, for one peer. */
  idleMax?: number;
}

/** Who may know of a request without a (whole) reply: nobody; nobody, as a kept connection had ended; the peer. */
export type Reached = 'nobody' | 'stale' | 'peer';

/** The peer gave no (whole) reply. `code` is Node's, or `TIMEOUT`, `ABORTED`, `NO_REPLY`. */
export class NoReplyError extends Error {
  override readonly name = 'NoReplyError';
  readonly code: string;
  readonly reached: Reached;

  constructor(message: string, code: string, options: ErrorOptions & { reached?: Reached } = {}) {
    super(message, options);
    this.code = code;
    this.reached = options.reached ?? 'peer';
  }
}

/** The headers cannot be sent at all, to nobody: another attempt is of no use. Nothing was sent. */
export class UnsendableError extends Error {
  override readonly name = 'UnsendableError';
}

/** Where `url` leads; `dial` is the URL of who is dialled in its place, and finds what is meant by the Host header. */
export function targetOf(
  url: string | URL,
  { dial, tls }: { dial?: string | undefined; tls?: TlsOptions } = {},
): Target {
  const asked = new URL(url);
  const { protocol, hostname, port } = dial === undefined ? asked : new URL(dial);
  const isTls = protocol === 'https:';
  return {
    isTls,
    host: hostname.replace(/^\[|\]$/g, ''),
    port: Number(port) || (isTls ? 443 : 80),
    path: `${asked.pathname}${asked.search}`,
    authority: asked.host,
    ...(tls && { tls }),
  };
}

/**
 * Sends requests over connections that are kept open.
 *
 *     may be repeated      a kept connection; when the peer had closed that one, again on a new one
 *     may not              a new connection: it cannot be stale
 *
 * Nothing is followed, nothing is decoded.
 */
export class HttpClient {
  readonly #kept: Agents;
  readonly #new: Agents = { http: new Agent(), https: new TlsAgent() };

  constructor({ connectionsMax = Number.POSITIVE_INFINITY, idleMax = 128 }: HttpClientOptions = {}) {
    const options = {
      ...{ keepAlive: true, keepAliveMsecs: 30_000, scheduling: 'lifo' as const },
      ...{ maxSockets: connectionsMax, maxFreeSockets: idleMax },
    };
    this.#kept = { http: new Agent(options), https: new TlsAgent(options) };
  }

  /**
   * Resolves with the head of the reply; the caller reads its body (http-body.ts) or destroys it. Rejects with
   * NoReplyError, or with UnsendableError.
   */
  async send(request: HttpRequest): Promise<IncomingMessage> {
    try {
      return await attempt(request, request.isRepeatable ? this.#kept : this.#new);
    } catch (error) {
      // That says nothing about the peer's health.
      if (!(error instanceof NoReplyError) || error.reached !== 'stale') throw error;
      return await attempt(request, this.#new);
    }
  }

  /** What is under way goes on. */
  closeIdle(): void {
    for (const agent of [this.#kept.http, this.#kept.https]) {
      for (const sockets of Object.values(agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy();
    }
  }

  close(): void {
    for (const { http, https } of [this.#kept, this.#new]) {
      http.destroy();
      https.destroy();
    }
  }
}

interface Agents {
  http: InstanceType<typeof Agent>;
  https: TlsAgent;
}

/** Replies 1xx before the one that counts: more are no progress. */
const interimMax = 32;

async function attempt(request: HttpRequest, agents: Agents): Promise<IncomingMessage> {
  const { body, headMs, silenceMs, wholeMs, signal } = request;
  const outgoing = open(request, agents);
  return new Promise((resolve, reject) => {
    let response: IncomingMessage | undefined;
    let isConnected = false;
    let interims = 0;
    const giveUp = (code: string, message: string) => {
      const error = new NoReplyError(message, code, { reached: isConnected ? 'peer' : 'nobody' });
      (response ?? outgoing).destroy(error);
    };
    const tooLate = (ms: number) => giveUp('TIMEOUT', `no ${response ? 'whole ' : ''}reply within ${ms} ms`);
    const onAbort = () => giveUp('ABORTED', `aborted: ${messageOf(signal?.reason)}`);
    const wholeTimer = timer(tooLate, wholeMs);
    let headTimer: NodeJS.Timeout | undefined;
    outgoing.on('socket', (socket: Socket | TLSSocket) => {
      if (outgoing.reusedSocket) isConnected = true;
      else socket.once('encrypted' in socket ? 'secureConnect' : 'connect', () => (isConnected = true));
    });
    outgoing.on('information', () => {
      if (++interims > interimMax) giveUp('NO_REPLY', `more than ${interimMax} interim replies (1xx)`);
    });
    outgoing.on('response', (head) => {
      response = head;
      clearTimeout(headTimer);
      head.on('error', ignore); // Whoever reads it hears of it; of one that is only discarded, nobody need.
      // All of it is there, but the peer did not take the request: it would be kept for a peer that never reads.
      head.on('end', () => outgoing.writableFinished || outgoing.destroy());
      resolve(head);
    });
    // More than one may come, and those after the reply's head are its reader's to see.
    outgoing.on('error', (error: NodeJS.ErrnoException) => {
      const isStale = outgoing.reusedSocket && /^(ECONNRESET|EPIPE)$/.test(codeOf(error));
      reject(asNoReply(error, isStale ? 'stale' : isConnected ? 'peer' : 'nobody'));
    });
    outgoing.on('close', () => {
      clearTimeout(headTimer);
      clearTimeout(wholeTimer);
      signal?.removeEventListener('abort', onAbort);
      // An unwanted upgrade ends so, with no other event.
      if (!response) reject(new NoReplyError('the connection closed without a reply', 'NO_REPLY'));
    });
    if (silenceMs !== undefined) {
      outgoing.on('timeout', () => giveUp('TIMEOUT', `nothing came or went for ${silenceMs} ms`));
    }
    signal?.addEventListener('abort', onAbort, { once: true });
    if (signal?.aborted) onAbort();
    if (typeof body !== 'function') {
      headTimer = timer(tooLate, headMs);
      outgoing.end(body);
      return;
    }
    outgoing.on('finish', () => {
      if (!response) headTimer = timer(tooLate, headMs);
    });
    const stream = body();
    stream.on('error', (error) => outgoing.destroy(error));
    // A reply may come before the stream was read: nobody reads it then.
    outgoing.on('close', () => stream.destroy());
    stream.pipe(outgoing);
  });
}

function open({ method, target, headers = [], body, silenceMs }: HttpRequest, agents: Agents): ClientRequest {
  const { isTls, host, port, socketPath, path, authority, tls } = target;
  const isSized = typeof body !== 'function' && (body !== undefined || (method !== 'GET' && method !== 'HEAD'));
  try {
    const outgoing = (isTls ? httpsRequest : httpRequest)({
      agent: isTls ? agents.https : agents.http,
      ...{ method, host, port, path },
      headers: ['host', authority, ...(isSized ? ['content-length', String(body?.length ?? 0)] : []), ...headers],
      ...(socketPath !== undefined && { socketPath }),
      ...(silenceMs !== undefined && { timeout: Math.min(silenceMs, timerMaxMs) }),
      ...tls,
    });
    // Bounded by bytes (16 KiB); by count, Node would leave some out without a word.
    outgoing.maxHeadersCount = 0;
    return outgoing;
  } catch (error) {
    if (!unsendable.has(codeOf(error))) throw asNoReply(error, 'nobody');
    throw new UnsendableError(messageOf(error), { cause: error });
  }
}

const unsendable = new Set(['ERR_INVALID_CHAR', 'ERR_INVALID_HTTP_TOKEN', 'ERR_HTTP_INVALID_HEADER_VALUE']);

const timer = (task: (ms: number) => void, ms: number | undefined) =>
  ms === undefined ? undefined : setTimeout(task, Math.min(ms, timerMaxMs), ms);

/** Whatever ended a request or its reply, as NoReplyError. */
export function asNoReply(error: unknown, reached: Reached): NoReplyError {
  if (error instanceof NoReplyError) return error;
  const code = codeOf(error);
  return new NoReplyError(messageOf(error) || code, code, { cause: error, reached });
}

const codeOf = (error: unknown): string =>
  String((error as NodeJS.ErrnoException | null | undefined)?.code ?? 'NO_REPLY');

const ignore = () => {};
