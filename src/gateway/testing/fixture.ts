/**
 * What the gateway's tests share: a gateway with a snapshot of one's choice, origins, and raw clients. Gateways and
 * origins end with the test that they are given.
 */
import { once } from 'node:events';
import { createServer as createHttpServer, type RequestListener } from 'node:http';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Clock } from '../../lib/clock.ts';
import { systemClock } from '../../lib/clock.ts';
import type { Quarantine } from '../../lib/quarantine.ts';
import { afterwards, type Scope } from '../../lib/testing/afterwards.ts';
import type { ListenHandle } from '../../observe/listen.ts';
import { silentLogger } from '../../observe/log.ts';
import type { Metrics } from '../../observe/metrics.ts';
import type { RevisionStats, StatsReport } from '../../serving/autoscaler/stats.ts';
import { type Gateway, type GatewayLimits, startGateway } from '../index.ts';
import type { RouteChange } from '../routes/change.ts';
import type { Protocols } from '../sides.ts';
import { host } from './routes.ts';

export { host, routesOf, targetKey } from './routes.ts';

export interface TestGateway extends Gateway {
  publish(change: RouteChange): void;
  /** What the autoscaler was told, newest last. */
  reports: RevisionStats[];
  /** Resolves with the next report that satisfies `wanted`, or one that came already. */
  report(wanted: (stats: RevisionStats) => boolean): Promise<RevisionStats>;
  /** Makes the autoscaler answer 503, or be well again. */
  autoscaler: { isAway: boolean };
  connect(): RawClient;
  /** A new client that has sent a request of the test host (`requestText`). */
  request(line: string, more?: string, body?: string): RawClient;
  /** Sends a request of the test host, and resolves with all that comes until the gateway ends the connection. */
  exchange(line: string, more?: string, body?: string): Promise<string>;
}

export interface TestGatewayOptions {
  limits?: Partial<GatewayLimits>;
  clock?: Clock;
  metrics?: Metrics;
  quarantine?: Quarantine;
  protocols?: Protocols;
  handle?: ListenHandle;
  isInside?: (address: string) => boolean;
}

export async function startTestGateway(
  t: Scope,
  routes: RouteChange,
  options: TestGatewayOptions = {},
): Promise<TestGateway> {
  const reports: RevisionStats[] = [];
  const waiting: { wanted: (stats: RevisionStats) => boolean; resolve: (stats: RevisionStats) => void }[] = [];
  const autoscaler = { isAway: false };
  const server = createHttpServer(async (request, response) => {
    let text = '';
    for await (const bytes of request) text += bytes;
    response.writeHead(autoscaler.isAway ? 503 : 204).end();
    if (autoscaler.isAway) return;
    const report: StatsReport = JSON.parse(text);
    for (const stats of report.revisions) {
      reports.push(stats);
      for (const one of waiting) if (one.wanted(stats)) one.resolve(stats);
    }
  });
  const autoscalerPort = await listen(server);
  let publish: (change: RouteChange) => void = () => {};
  const gateway = await startGateway({
    source: {
      async start(onChange) {
        publish = onChange;
        onChange(routes);
      },
      stop() {},
    },
    port: 0,
    autoscaler: { url: `http://127.0.0.1:${autoscalerPort}` },
    id: 'test',
    clock: options.clock ?? systemClock,
    log: silentLogger,
    limits: options.limits ?? {},
    ...(options.metrics && { metrics: options.metrics }),
    ...(options.quarantine && { quarantine: options.quarantine }),
    ...(options.protocols && { protocols: options.protocols }),
    handle: options.handle,
    isInside: options.isInside,
  });
  const connect = () => new RawClient(gateway.port);
  let stopped: Promise<void> | undefined;
  const stop: Gateway['stop'] = (stopOptions) => {
    stopped ??= gateway.stop(stopOptions).then(() => {
      server.closeAllConnections();
      server.close();
    });
    return stopped;
  };
  afterwards(t, stop);
  return {
    port: gateway.port,
    connect,
    request: (...request) => connect().request(...request),
    exchange: (...request) =>
      connect()
        .request(...request)
        .ended(),
    publish: (next) => publish(next),
    reports,
    autoscaler,
    report(wanted) {
      const known = reports.find(wanted);
      if (known !== undefined) return Promise.resolve(known);
      return new Promise((resolve) => waiting.push({ wanted, resolve }));
    },
    stop,
  };
}

export interface Origin {
  port: number;
  sockets: Set<Socket>;
  /** How many connections it has accepted. */
  accepted: number;
  close(): void;
}

/** An origin that speaks for itself: `onConnection` reads and writes bytes. */
export async function startRawOrigin(
  t: Scope,
  onConnection: (socket: Socket, number: number) => void,
): Promise<Origin> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.add(socket);
    origin.accepted++;
    socket.on('error', () => {}); // Gateways reset connections; tests look at what follows from it.
    socket.on('close', () => sockets.delete(socket));
    onConnection(socket, origin.accepted);
  });
  const port = await listen(server);
  const origin: Origin = {
    port,
    sockets,
    accepted: 0,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
  afterwards(t, () => origin.close());
  return origin;
}

/** An origin that answers each request head with `reply`, and keeps the heads. */
export async function startReplyOrigin(t: Scope, reply = ok): Promise<Origin & { heads: string[] }> {
  const heads: string[] = [];
  const origin = await startRawOrigin(t, (socket) =>
    onHeads(socket, (head) => {
      heads.push(head);
      socket.write(reply, 'latin1');
    }),
  );
  return Object.assign(origin, { heads });
}

/** Whether the gateway has closed all its connections to `origin`. */
export function isLeft(origin: Origin): boolean {
  return [...origin.sockets].every((socket) => socket.readableEnded);
}

/** Calls `onHead` with each request head that comes (requests without a body). */
export function onHeads(socket: Socket, onHead: (head: string) => void): void {
  let text = '';
  socket.on('data', (bytes) => {
    text += bytes.toString('latin1');
    for (let end = text.indexOf('\r\n\r\n'); end !== -1; end = text.indexOf('\r\n\r\n')) {
      const head = text.slice(0, end + 4);
      text = text.slice(end + 4);
      onHead(head);
    }
  });
}

export async function startHttpOrigin(t: Scope, listener: RequestListener): Promise<{ port: number; close(): void }> {
  const server = createHttpServer(listener);
  const port = await listen(server);
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  afterwards(t, close);
  return { port, close };
}

/** A client of bytes: what the gateway says is in `text`. */
export class RawClient {
  readonly socket: Socket;
  text = '';
  isEnded = false;

  constructor(port: number) {
    this.socket = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
    this.socket.on('data', (bytes) => {
      this.text += bytes.toString('latin1');
    });
    this.socket.on('end', () => {
      this.isEnded = true;
    });
    this.socket.on('error', () => {}); // Being cut off is among the things that tests look for.
  }

  send(text: string): this {
    this.socket.write(text, 'latin1');
    return this;
  }

  /** Sends a request of the test host (`requestText`). */
  request(line: string, more?: string, body?: string): this {
    return this.send(requestText(line, more, body));
  }

  /** Resolves when what came satisfies `wanted`. */
  async until(wanted: (text: string) => boolean): Promise<string> {
    while (!wanted(this.text)) {
      if (this.socket.destroyed || this.isEnded) throw new Error(`the connection ended with: ${this.text}`);
      await Promise.race([once(this.socket, 'data'), once(this.socket, 'close'), once(this.socket, 'end')]);
    }
    return this.text;
  }

  untilHas(part: string): Promise<string> {
    return this.until((text) => text.includes(part));
  }

  /** Resolves with all that came once the gateway has ended the connection. */
  async ended(): Promise<string> {
    if (!this.isEnded && !this.socket.destroyed) {
      await new Promise<void>((resolve) => this.socket.once('end', resolve).once('close', () => resolve()));
    }
    this.socket.destroy();
    return this.text;
  }

  close(): void {
    this.socket.destroy();
  }
}

/** Sends `bytes` and resolves with all that comes until the gateway ends the connection. */
export function exchange(port: number, bytes: string): Promise<string> {
  return new RawClient(port).send(bytes).ended();
}

/** A request of the test host; `more` are complete lines. */
export function requestText(line: string, more = '', body = ''): string {
  return `${line} HTTP/1.1\r\nHost: ${host}\r\n${more}\r\n${body}`;
}

export const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
export const closing = 'Connection: close\r\n';

export const statusOf = (text: string): number => Number(text.slice(9, 12));

/** Resolves once `condition` holds; looks at it after each turn of the event loop. */
export async function eventually(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}
