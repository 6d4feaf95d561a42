import type { Server, ServerResponse } from 'node:http';
import { messageOf } from '../lib/errors.ts';
import { inTurn } from '../lib/in-turn.ts';
import { createServer } from '../lib/node-http.ts';
import { listen } from './listen.ts';
import type { Logger } from './log.ts';
import type { Metrics } from './metrics.ts';

export interface ObserveOptions {
  /** Loopback unless given. */
  host?: string;
  port: number;
  metrics: Metrics;
  /** Why the role cannot serve yet, or undefined when it can. */
  notReady: () => string | undefined;
  /** For the message when the port is taken, for example `gateway`. */
  role: string;
  log: Logger;
}

/** Scrapers and probes are few. */
const connectionsMax = 64;
const pipelinedMax = 8;
/** An answer that nobody takes is given up. */
const socketIdleMs = 60_000;

/** Serves a role's `/metrics` (Prometheus text), `/healthz` (it lives) and `/readyz` (it serves). */
export async function serveObservability(options: ObserveOptions): Promise<Server> {
  const { host, port, role, log } = options;
  const server = createServer({ pipelinedMax }, (request, response) => {
    const path = request.url?.split('?')[0] ?? '';
    inTurn(request.socket, response, () => answer(options, path, response)).catch((error) => {
      response.writeHead(500).end(`the answer failed: ${messageOf(error)}\n`);
    });
  });
  server.maxConnections = connectionsMax;
  server.timeout = socketIdleMs;
  await listen(server, { host, port, role: `metrics of the ${role}`, flag: `--${role}-metrics-port`, log });
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
