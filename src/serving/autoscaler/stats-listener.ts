import { rm } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { messageOf } from '../../lib/errors.ts';
import { inTurn } from '../../lib/in-turn.ts';
import { createServer } from '../../lib/node-http.ts';
import { loopback } from '../../observe/listen.ts';
import type { Logger } from '../../observe/log.ts';
import { BadReport, parseStatsReport, type StatsReport } from './stats.ts';

/** A unix socket beside the gateway on one machine; a port of loopback, or of a pod, elsewhere. */
export type StatsAddress = { socketPath: string } | { port: number; host?: string };

export interface StatsListener {
  /** The port that it has, when it listens on one. */
  port: number | undefined;
  stop(): Promise<void>;
}

/** A report of 20,000 revisions fits; more is refused before it fills memory. */
const bodyMaxBytes = 4 * 1024 * 1024;
const connectionsMax = 512;

/** Takes `POST /v1/stats`: 204 when the report was taken in, 400 naming the field that is wrong, 413 when too long. */
export async function listenForStats(
  address: StatsAddress,
  onReport: (report: StatsReport) => void,
  log: Logger,
): Promise<StatsListener> {
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 5_000 }, (request, response) => {
    inTurn(request.socket, response, () => answer(request, response, onReport)).catch((error: unknown) => {
      log.warn({ err: error }, 'a stats report could not be read');
      if (!response.headersSent) reply(response, 500, messageOf(error));
    });
  });
  // Each gateway has a few; the others are closed, which it sees, rather than kept until there are no files left.
  server.maxConnections = connectionsMax;
  if ('socketPath' in address) {
    // The socket of a process that was killed is still there, and nobody listens on it.
    await rm(address.socketPath, { force: true });
  }
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    if ('socketPath' in address) server.listen(address.socketPath, resolve);
    else server.listen(address.port, address.host ?? loopback, resolve);
  });
  server.on('error', (error) => log.error({ err: error }, 'the stats listener failed'));
  const bound = server.address();
  return {
    port: typeof bound === 'object' && bound !== null ? (bound as AddressInfo).port : undefined,
    async stop() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  onReport: (report: StatsReport) => void,
): Promise<void> {
  if (request.method !== 'POST' || request.url !== '/v1/stats')
    return reply(response, 404, 'POST /v1/stats is all there is');
  const body = await readBody(request);
  if (body === undefined) {
    response.setHeader('connection', 'close');
    return reply(response, 413, `a report has at most ${bodyMaxBytes} bytes`);
  }
  try {
    onReport(parseStatsReport(JSON.parse(body)));
  } catch (error) {
    if (error instanceof BadReport || error instanceof SyntaxError) return reply(response, 400, error.message);
    throw error;
  }
  response.writeHead(204).end();
}

/** Undefined when it is too long. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > bodyMaxBytes) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function reply(response: ServerResponse, status: number, message: string): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(`${message}\n`);
}
