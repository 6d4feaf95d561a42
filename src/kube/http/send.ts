import type { AgentOptions, IncomingMessage, RequestOptions } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
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

export interface Timeouts {
  /** Of the connection, once the reply has begun. */
  silenceMs: number;
  /** Until the reply begins. */
  headMs: number;
}

type Agent = HttpsAgent | InstanceType<typeof HttpAgent>;

/** A server, as whom we come to it, and the connections to it. */
export interface Target {
  connection: Connection;
  request: typeof httpRequest;
  agent: Agent;
  /** Whose connections serve one request. */
  newAgent: Agent;
  options: RequestOptions;
  /** Of the server's URL; without a slash at its end. */
  basePath: string;
  headers: Record<string, string>;
}

/** Nothing is connected before the first request. */
export function targetOf(connection: Connection): Target {
  const url = new URL(connection.server);
  const isTls = url.protocol === 'https:';
  const { ca, cert, key, serverName } = connection;
  const tls = {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(serverName === undefined ? {} : { servername: serverName }),
    rejectUnauthorized: !connection.isInsecure,
  };
  const agentOf = (pool: AgentOptions) => (isTls ? new HttpsAgent({ ...pool, ...tls }) : new HttpAgent(pool));
  return {
    connection,
    request: isTls ? httpsRequest : httpRequest,
    agent: agentOf({ keepAlive: true, keepAliveMsecs: 30_000, maxFreeSockets: 4 }),
    newAgent: agentOf({ keepAlive: false }),
    options: { hostname: url.hostname.replace(/^\[|\]$/g, ''), port: url.port || (isTls ? 443 : 80) },
    basePath: url.pathname.replace(/\/$/, ''),
    headers: connection.token === undefined ? {} : { authorization: `Bearer ${connection.token}` },
  };
}

/** The peer closed a kept-alive connection before it saw the request. */
export class StaleConnection extends Error {}

/** There was no connection, so no request either: refused, no such host, or no agreement on TLS. */
export class NoConnection extends Error {}

/** The reply once its head is there. Rejects with the above where they apply. */
export function send(
  target: Target,
  request: HttpRequest,
  { headMs, silenceMs }: Timeouts,
  connection: 'kept' | 'new',
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const body = request.body === undefined ? undefined : Buffer.from(JSON.stringify(request.body));
    const options: RequestOptions = {
      ...target.options,
      agent: connection === 'kept' ? target.agent : target.newAgent,
      method: request.method,
      path: target.basePath + request.path,
      timeout: headMs,
      headers: {
        ...target.headers,
        accept: request.accept ?? 'application/json',
        'user-agent': 'kittiwake',
        ...(body && { 'content-type': request.contentType ?? 'application/json', 'content-length': body.length }),
      },
    };
    if (request.signal) options.signal = request.signal;
    let response: IncomingMessage | undefined;
    let isConnected = false;
    const outgoing = target.request(options, (head) => {
      response = head;
      head.socket.setTimeout(silenceMs);
      resolve(head);
    });
    outgoing.once('socket', (socket: Socket | TLSSocket) => {
      if (outgoing.reusedSocket) isConnected = true;
      else socket.once('encrypted' in socket ? 'secureConnect' : 'connect', () => (isConnected = true));
    });
    outgoing.on('timeout', () => {
      const error = new Error(`no reply within ${response ? silenceMs : headMs} ms`);
      (response ?? outgoing).destroy(error);
    });
    // More than one may come, and those after the reply's head are the reader's to see.
    outgoing.on('error', (error: NodeJS.ErrnoException) => {
      const isStale = outgoing.reusedSocket && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
      if (isStale) reject(new StaleConnection('stale connection', { cause: error }));
      else reject(isConnected ? error : new NoConnection('no connection', { cause: error }));
    });
    outgoing.end(body);
  });
}

/** What is under way goes on. */
export function closeIdle({ agent }: Target): void {
  for (const sockets of Object.values(agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy();
}
