import { createServer, type Server, type Socket } from 'node:net';
import { KittiwakeError } from '../lib/errors.ts';
import { ClientConnection } from './client-connection.ts';
import type { GatewayContext } from './context.ts';
import { dateField } from './context.ts';
import { replyText, tooManyConnections } from './replies.ts';

/** Deadlines are looked at this often: a timer for each request would cost more than the requests. */
const sweepMs = 100;
const idleSweepMs = 1_000;
/** Connections that the kernel holds until they are accepted; it cuts this down to net.core.somaxconn. */
const backlog = 4_096;

/** An address to bind, or what is bound already (then only `handle` counts). */
export interface ListenAt {
  host: string;
  port: number;
  handle: unknown;
}

/** Accepts clients, sweeps deadlines, and drains. */
export class Listener {
  readonly #context: GatewayContext;
  readonly #server: Server;
  #cancelSweep: (() => void) | undefined;
  #idleSweptMs = 0;

  constructor(context: GatewayContext) {
    this.#context = context;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#accept(socket));
  }

  /** Returns the port; throws PORT_IN_USE. */
  listen({ host, port, handle }: ListenAt): Promise<number> {
    const server = this.#server;
    return new Promise((resolve, reject) => {
      const onError = (error: NodeJS.ErrnoException) => {
        const where = { port, role: 'gateway', flag: '--gateway-port' };
        reject(error.code === 'EADDRINUSE' ? new KittiwakeError('PORT_IN_USE', where, { cause: error }) : error);
      };
      server.once('error', onError);
      const onListening = () => {
        server.off('error', onError);
        server.on('error', (error) => this.#context.log.error({ err: error }, 'accepting connections failed'));
        const address = server.address();
        resolve(typeof address === 'object' && address !== null ? address.port : port);
      };
      if (handle === undefined) server.listen({ host, port, backlog }, onListening);
      else server.listen(handle, backlog, onListening);
    });
  }

  /** Accepts no more, lets the requests under way end for up to `graceMs`, then closes what is left. */
  async drain(graceMs: number): Promise<void> {
    const { clock, connections } = this.#context;
    this.#context.isDraining = true;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const connection of connections) if (connection.isIdle) connection.destroy();
    const cancel = clock.after(graceMs, () => {
      for (const connection of connections) connection.destroy();
    });
    await closed;
    cancel();
    this.#cancelSweep?.();
    this.#cancelSweep = undefined;
  }

  #accept(socket: Socket): void {
    const { connections, counters, limits } = this.#context;
    if (connections.size >= limits.connections) {
      counters.refusedConnections++;
      socket.on('error', () => {}); // The client is being turned away: how it takes it changes nothing.
      socket.end(replyText(tooManyConnections, this.#context.dateField, false, false), () => socket.destroy());
      return;
    }
    counters.accepted++;
    if (this.#cancelSweep === undefined) {
      this.#readClocks();
      this.#cancelSweep = this.#context.clock.after(sweepMs, () => this.#sweep());
    }
    new ClientConnection(this.#context, socket);
  }

  #sweep(): void {
    const context = this.#context;
    const nowMs = this.#readClocks();
    for (const connection of context.connections) connection.sweep(nowMs);
    let idleCount = context.connections.size;
    if (nowMs - this.#idleSweptMs >= idleSweepMs || idleCount === 0) {
      this.#idleSweptMs = nowMs;
      for (const backend of context.router.backends()) {
        for (const endpoint of backend.endpoints()) {
          endpoint.closeExpired(nowMs);
          idleCount += endpoint.idleCount;
        }
      }
    }
    // With nothing to watch over the gateway sleeps until the next client.
    this.#cancelSweep = idleCount === 0 ? undefined : context.clock.after(sweepMs, () => this.#sweep());
  }

  #readClocks(): number {
    const context = this.#context;
    context.coarseMs = context.clock.monotonic();
    context.dateField = dateField(context.clock.now());
    return context.coarseMs;
  }
}
