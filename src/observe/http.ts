import type { Server, ServerResponse } from 'node:http';
import { KittiwakeError, messageOf } from '../lib/errors.ts';
import { createServer } from '../lib/node-http.ts';
import type { Metrics } from './metrics.ts';

export interface ObserveOptions {
  port: number;
  metrics: Metrics;
  /** Why the role cannot serve yet, or undefined when it can. */
  notReady: () => string | undefined;
  /** For the message when the port is taken, for example `gateway`. */
  role: string;
}

/** Serves a role's `/metrics` (Prometheus text), `/healthz` (it lives) and `/readyz` (it serves) on loopback. */
export async function serveObservability(options: ObserveOptions): Promise<Server> {
  const { port, role } = options;
  const server = createServer((request, response) => {
    answer(options, request.url?.split('?')[0] ?? '', response).catch((error) => {
      response.writeHead(500).end(`the answer failed: ${messageOf(error)}\n`);
    });
  });
  await listenOnLoopback(server, { port, role: `metrics of the ${role}`, flag: `--${role}-metrics-port` });
  return server;
}

async function answer({ metrics, notReady }: ObserveOptions, path: string, response: ServerResponse): Promise<void> {
  if (path === '/metrics') {
    const text = await metrics.text();
    response.setHeader('content-type', metrics.contentType).end(text);
  } else if (path === '/healthz') {
    response.end('ok\n');
  } else if (path === '/readyz') {
    const why = notReady();
    response.writeHead(why === undefined ? 200 : 503).end(`${why ?? 'ok'}\n`);
  } else {
    response.writeHead(404).end('not found: /metrics, /healthz and /readyz are here\n');
  }
}

/** Connections that wait to be accepted, while the process that listens is started again, too. */
const backlog = 1024;

/** A bound socket of the supervisor's: whatever `net.Server.listen(handle)` takes. */
export type ListenHandle = object;

/**
 * Listens on 127.0.0.1, or on the socket that is lent; a port that is taken is PORT_IN_USE, naming the role and the
 * flag that chooses another.
 */
export function listenOnLoopback(
  server: { listen: Server['listen']; once: Server['once']; off: Server['off'] },
  where: { port: number; role: string; flag: string; handle?: ListenHandle | undefined },
): Promise<void> {
  const { handle, ...named } = where;
  return new Promise((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException) =>
      reject(error.code === 'EADDRINUSE' ? new KittiwakeError('PORT_IN_USE', named, { cause: error }) : error);
    server.once('error', onError);
    const onListening = () => {
      server.off('error', onError);
      resolve();
    };
    if (handle) server.listen(handle, backlog, onListening);
    else server.listen(where.port, '127.0.0.1', backlog, onListening);
  });
}
