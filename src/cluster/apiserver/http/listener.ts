import { randomUUID } from 'node:crypto';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createSecureServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { ApiError } from '../../../api/status.ts';
import type { Clock } from '../../../lib/clock.ts';
import { type ListenHandle, listenOnLoopback } from '../../../observe/http.ts';
import type { Logger } from '../../../observe/log.ts';
import type { Metrics } from '../../../observe/metrics.ts';
import type { PodLogs } from '../../pod-logs.ts';
import type { Pipeline } from '../resources.ts';
import type { Exchange, User } from './exchange.ts';
import { Documents } from './handlers/documents.ts';
import { requestMetrics } from './metrics.ts';
import { kubeconfig } from './pki/kubeconfig.ts';
import { ensurePki, type Pki, writeSecret } from './pki/pki.ts';
import { sendError } from './respond.ts';
import { isPublic, notOffered, type RouterOptions, route } from './router.ts';

export interface ListenerOptions {
  pipeline: Pipeline;
  dataDir: string;
  clock: Clock;
  log: Logger;
  metrics?: Metrics | undefined;
  podLogs?: PodLogs | undefined;
  /** 0: any free port. */
  port: number;
  /** A bound socket to listen on instead, which outlives this process. */
  handle?: ListenHandle | undefined;
}

export interface Listener {
  /** For example `https://127.0.0.1:7443`. */
  url: string;
  /** Credentials of the administrator; those of each role stand beside the certificates. */
  kubeconfigPath: string;
  stop(): Promise<void>;
}

/** How often the certificates are looked at; they are renewed weeks before their end. */
const renewalCheckMs = 12 * 3600 * 1000;
/** How long requests that run may take to end at a stop. */
const graceMs = 500;
/** client-go keeps idle connections for 90 s: the server must not close them first. */
const keepAliveTimeoutMs = 120_000;
const headersBytesMax = 64 * 1024;

/** Serves the Kubernetes API on loopback, over TLS, to clients that hold a certificate of its authority. */
export async function startListener(options: ListenerOptions): Promise<Listener> {
  const { clock, dataDir, handle, log, metrics, pipeline, podLogs, port } = options;
  const pkiDir = join(dataDir, 'pki');
  let pki = ensurePki(pkiDir, clock);
  const server = createSecureServer({
    ...credentials(pki),
    allowHTTP1: true,
    requestCert: true,
    rejectUnauthorized: false, // Who has no certificate gets a 401 that says so rather than a broken connection.
    minVersion: 'TLSv1.2',
    maxHeaderSize: headersBytesMax,
    maxHeaderListPairs: 200,
    settings: { maxConcurrentStreams: 1000, maxHeaderListSize: headersBytesMax },
    keepAliveTimeout: keepAliveTimeoutMs,
  } as Parameters<typeof createSecureServer>[0]);
  const stopping = new AbortController();
  const running = new Set<Promise<void>>();
  const documents = new Documents(pipeline.resources);
  const measure = requestMetrics(metrics, clock);
  const router: RouterOptions = { pipeline, documents, clock, podLogs, onRoute: measure.onRoute };

  // The compatibility API of HTTP/2 gives its requests and responses the methods of HTTP/1.1's.
  server.on('request', (request, response) => {
    const served = serve(request as unknown as IncomingMessage, response as unknown as ServerResponse);
    running.add(served);
    void served.finally(() => running.delete(served));
  });
  server.on('upgrade', refuseUpgrade);
  const sockets = new Set<TLSSocket>();
  server.on('secureConnection', (socket: TLSSocket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  // A client that breaks off, or speaks no TLS, is its own affair.
  server.on('tlsClientError', (error) => log.debug({ err: error }, 'TLS handshake failed'));
  server.on('sessionError', (error) => log.debug({ err: error }, 'HTTP/2 session failed'));

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
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
      signal: AbortSignal.any([gone.signal, stopping.signal]),
    };
    measure.begin(exchange);
    response.setHeader('audit-id', auditId(request));
    response.setHeader('cache-control', 'no-cache, private');
    response.setHeader('x-kubernetes-pf-flowschema-uid', flowSchemaUid);
    response.setHeader('x-kubernetes-pf-prioritylevel-uid', priorityLevelUid);
    try {
      const user = userOf(request);
      if (!user && !isPublic(pathname)) throw new ApiError(401, 'Unauthorized', 'Unauthorized');
      if (user) exchange.user = user;
      await route(exchange, router);
    } catch (error) {
      await fail(exchange, error);
    }
  }

  async function fail(exchange: Exchange, error: unknown): Promise<void> {
    const { method, path, request, response } = exchange;
    if (!(error instanceof ApiError)) log.error({ err: error, method, path }, 'request failed');
    if (response.headersSent) {
      response.destroy(); // The answer has begun: breaking it off is the only way left to say that it is not whole.
      return;
    }
    // What is left of the body is dropped as it comes; on HTTP/1.1 the connection cannot be used again.
    request.resume();
    if (!request.readableEnded && request.httpVersionMajor === 1 && hasBody(request))
      response.setHeader('connection', 'close');
    await sendError(exchange, error);
  }

  await listenOnLoopback(server as unknown as Server, { port, role: 'api', flag: '--api-port', handle });
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const kubeconfigPath = writeKubeconfigs(dataDir, url, pki);
  let cancelRenewal = clock.after(renewalCheckMs, renew);
  function renew(): void {
    const renewed = ensurePki(pkiDir, clock);
    if (renewed.ca !== pki.ca || renewed.server.cert !== pki.server.cert) server.setSecureContext(credentials(renewed));
    pki = renewed;
    writeKubeconfigs(dataDir, url, pki);
    cancelRenewal = clock.after(renewalCheckMs, renew);
  }

  return {
    url,
    kubeconfigPath,
    async stop() {
      cancelRenewal();
      documents.stop();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      stopping.abort(); // Ends the watches, which end their answers.
      const isLate = new Promise<void>((resolve) => clock.after(graceMs, resolve));
      await Promise.race([Promise.allSettled(running), isLate]);
      await new Promise((resolve) => setImmediate(resolve)); // What was answered reaches the sockets.
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

const credentials = ({ ca, server }: Pki) => ({ ca: [ca], cert: server.cert, key: server.key });

function writeKubeconfigs(dataDir: string, url: string, { ca, clients }: Pki): string {
  const text = (user: string, identity: Pki['server']) => kubeconfig({ server: url, ca, user, identity });
  for (const name of ['gateway', 'broker'] as const) {
    writeSecret(join(dataDir, 'pki', `${name}.kubeconfig`), text(`kittiwake:${name}`, clients[name]));
  }
  const path = join(dataDir, 'kubeconfig');
  writeSecret(path, text('kubernetes-admin', clients.admin));
  return path;
}

const anonymous: User = { name: 'system:anonymous', groups: ['system:unauthenticated'] };
const users = new WeakMap<object, User>();

/** Who the client's certificate says it is; undefined without one that the authority signed. */
function userOf(request: IncomingMessage): User | undefined {
  // One session carries many HTTP/2 requests; its socket is a proxy that differs for each.
  const { stream } = request as { stream?: { session?: object } };
  const connection = stream?.session ?? request.socket;
  const known = users.get(connection);
  if (known) return known;
  const socket = request.socket as TLSSocket;
  if (!socket.authorized) return undefined;
  const { subject } = socket.getPeerCertificate();
  if (!subject?.CN) return undefined;
  const user = { name: `${subject.CN}`, groups: [subject.O ?? []].flat() };
  users.set(connection, user);
  return user;
}

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

/** exec, attach and port-forward ask for another protocol on the connection. */
function refuseUpgrade(request: IncomingMessage, socket: TLSSocket): void {
  const subresource =
    parseUrl(request.url ?? '/')
      .pathname.split('/')
      .at(-1) ?? '';
  const body = `${JSON.stringify(notOffered(subresource).toStatus())}\n`;
  socket.end(
    'HTTP/1.1 501 Not Implemented\r\nContent-Type: application/json\r\nConnection: close\r\n' +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}
