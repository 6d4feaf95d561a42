import type { IncomingMessage as Request, Server, ServerResponse } from 'node:http';
import { createSecureServer, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import type { Clock } from '../../../lib/clock.ts';
import { IncomingMessage, Pipelines } from '../../../lib/node-http.ts';
import { type ListenHandle, listen, loopback, urlOf } from '../../../observe/listen.ts';
import type { Logger } from '../../../observe/log.ts';
import type { Metrics } from '../../../observe/metrics.ts';
import type { ServiceAccountTokens } from '../identity/service-account-tokens.ts';
import type { Pipeline } from '../resources.ts';
import { Documents } from './handlers/documents.ts';
import { defaultLimits, type Limits } from './limits.ts';
import { requestMetrics } from './metrics.ts';
import { kubeconfig } from './pki/kubeconfig.ts';
import { ensurePki, type Pki, writeSecret } from './pki/pki.ts';
import type { RouterOptions } from './router.ts';
import { Door } from './serve.ts';

export interface ListenerOptions {
  pipeline: Pipeline;
  /** Without it, only certificates show who asks. */
  tokens?: ServiceAccountTokens | undefined;
  dataDir: string;
  clock: Clock;
  log: Logger;
  metrics?: Metrics | undefined;
  /** Loopback unless given. */
  host?: string;
  /** Where else it is met: what leads there is somebody else's. */
  alsoAt?: readonly string[];
  /** 0: any free port. */
  port: number;
  /** A bound socket to listen on instead, which outlives this process. */
  handle?: ListenHandle | undefined;
  /** Other limits than the usual ones. */
  limits?: Partial<Limits> | undefined;
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
const headersBytesMax = 64 * 1024;
/** Of one HTTP/2 connection: a client of ours has a watch for each kind, and some requests. */
const streamsMax = 250;

/** Serves the Kubernetes API over TLS, to clients that hold a certificate of its authority or a token. */
export async function startListener(options: ListenerOptions): Promise<Listener> {
  const { clock, dataDir, handle, log, metrics, host = loopback, alsoAt = [], pipeline, port, tokens } = options;
  const limits = { ...defaultLimits, ...options.limits };
  const pkiDir = join(dataDir, 'pki');
  tokens?.open();
  let pki = ensurePki(pkiDir, clock, [host, ...alsoAt]);
  const pipelines = new Pipelines(IncomingMessage, 1 + limits.pipelinedMax);
  const server = createSecureServer({
    Http1IncomingMessage: pipelines.Request,
    ...credentials(pki),
    allowHTTP1: true,
    requestCert: true,
    rejectUnauthorized: false, // Who has no certificate gets a 401 that says so rather than a broken connection.
    minVersion: 'TLSv1.2',
    maxHeaderSize: headersBytesMax,
    maxHeaderListPairs: 200,
    settings: { maxConcurrentStreams: streamsMax, maxHeaderListSize: headersBytesMax },
    handshakeTimeout: limits.handshakeMs,
    headersTimeout: Math.min(limits.headersMs, limits.requestMs),
    requestTimeout: limits.requestMs,
    keepAliveTimeout: limits.idleMs,
    connectionsCheckingInterval: Math.min(limits.headersMs, 5000),
  } as Parameters<typeof createSecureServer>[0]);
  server.maxConnections = limits.connectionsMax;
  pipelines.watch(server as unknown as Server);
  const stopping = new AbortController();
  const documents = new Documents(pipeline.resources, tokens);
  const measure = requestMetrics(metrics, clock);
  const router: RouterOptions = { pipeline, documents, clock, log, onRoute: measure.onRoute };
  const door = new Door({ router, tokens, measure, clock, log, limits, stopping: stopping.signal });

  // The compatibility API of HTTP/2 gives its requests and responses the methods of HTTP/1.1's.
  server.on('request', (request, response) =>
    door.accept(request as unknown as Request, response as unknown as ServerResponse),
  );
  server.on('upgrade', (request: Request, socket: TLSSocket, head: Buffer) => door.upgrade(request, socket, head));
  const sockets = new Set<TLSSocket>();
  server.on('secureConnection', (socket: TLSSocket) => {
    sockets.add(socket);
    socket.setKeepAlive(true, limits.idleMs);
    socket.once('close', () => sockets.delete(socket));
  });
  server.on('session', (session) => closeWhenIdle(session, limits.idleMs));
  // A client that breaks off, or speaks no TLS, is its own affair.
  server.on('tlsClientError', (error) => log.debug({ err: error }, 'TLS handshake failed'));
  server.on('sessionError', (error) => log.debug({ err: error }, 'HTTP/2 session failed'));
  server.on('drop', () => log.warn({ connections: limits.connectionsMax }, 'too many connections: one was refused'));

  const bound = await listen(server, { host, port, role: 'api', flag: '--api-port', handle, log });
  const url = urlOf(bound, host, 'https');
  const kubeconfigPath = writeKubeconfigs(dataDir, url, pki);
  let cancelRenewal = clock.after(renewalCheckMs, renew);
  function renew(): void {
    try {
      const renewed = ensurePki(pkiDir, clock, [host, ...alsoAt]);
      if (renewed.ca !== pki.ca || renewed.server.cert !== pki.server.cert) {
        server.setSecureContext(credentials(renewed));
      }
      pki = renewed;
      writeKubeconfigs(dataDir, url, pki);
    } catch (error) {
      log.error({ err: error }, 'the certificates could not be renewed: the next try is in half a day');
    }
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
      const late = Promise.withResolvers<void>();
      const cancelLate = clock.after(graceMs, late.resolve);
      await Promise.race([door.settled(), late.promise]);
      cancelLate();
      await new Promise((resolve) => setImmediate(resolve)); // What was answered reaches the sockets.
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

const credentials = ({ ca, server }: Pki) => ({ ca: [ca], cert: server.cert, key: server.key });

function writeKubeconfigs(dataDir: string, url: string, { ca, clients }: Pki): string {
  const text = (user: string, identity: Pki['server']) => kubeconfig({ server: url, ca, user, identity });
  for (const name of ['gateway', 'broker', 'network'] as const) {
    writeSecret(join(dataDir, 'pki', `${name}.kubeconfig`), text(`kittiwake:${name}`, clients[name]));
  }
  const path = join(dataDir, 'kubeconfig');
  writeSecret(path, text('kubernetes-admin', clients.admin));
  return path;
}

/** Node closes idle connections of HTTP/1.1 by itself, those of HTTP/2 never. */
function closeWhenIdle(session: ServerHttp2Session, idleMs: number): void {
  let streams = 0;
  session.on('stream', (stream: ServerHttp2Stream) => {
    streams++;
    stream.once('close', () => streams--);
  });
  const watch = () =>
    session.setTimeout(idleMs, () => {
      if (streams === 0) session.close();
      else watch();
    });
  watch();
}
