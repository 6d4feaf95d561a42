import { createServer, type Server, type Socket } from 'node:net';
import { type ListenOptions, listen } from '../observe/listen.ts';
import type { GatewayContext } from './context.ts';
import { dateField } from './context.ts';

/** Deadlines are looked at this often: a timer for each request would cost more than the requests. */
const sweepMs = 100;
const idleSweepMs = 1_000;
/** Connections that the kernel holds until they are accepted; it cuts this down to net.core.somaxconn. */
const backlog = 4_096;

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
  listen(where: Pick<ListenOptions, 'host' | 'port' | 'handle'>): Promise<number> {
    const { log } = this.#context;
    return listen(this.#server, { ...where, backlog, role: 'gateway', flag: '--gateway-port', log });
  }

  /** Accepts no more, lets the requests under way end for up to `graceMs`, then closes what is left. */
  async drain(graceMs: number): Promise<void> {
    const { clock, connections } = this.#context;
    this.#context.isDraining = true;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const connection of connections) connection.drain();
    const cancel = clock.after(graceMs, () => {
      for (const connection of connections) connection.destroy();
    });
    await closed;
    cancel();
    this.#cancelSweep?.();
    this.#cancelSweep = undefined;
  }

  #accept(socket: Socket): void {
    const { connections, counters, limits, protocols } = this.#context;
    if (connections.size >= limits.connections) {
      counters.refusedConnections++;
      protocols.turnAway(this.#context, socket);
      return;
    }
    counters.accepted++;
    if (this.#cancelSweep === undefined) {
      this.#readClocks();
      this.#cancelSweep = this.#context.clock.after(sweepMs, () => this.#sweep());
    }
    try {
      protocols.downstream(this.#context, socket);
    } catch (error) {
      socket.destroy();
      this.#context.reportFault(error);
    }
  }

  #sweep(): void {
    const context = this.#context;
    let idleCount = context.connections.size;
    try {
      const nowMs = this.#readClocks();
      let heldBytes = 0;
      for (const connection of context.connections) {
        connection.sweep();
        heldBytes += connection.heldBytes;
      }
      if (heldBytes > context.limits.heldBytes) this.#shed(heldBytes - context.limits.heldBytes, nowMs);
      if (nowMs - this.#idleSweptMs >= idleSweepMs || idleCount === 0) {
        this.#idleSweptMs = nowMs;
        idleCount += this.#closeExpired(nowMs);
      }
    } catch (error) {
      context.reportFault(error);
    }
    // With nothing to watch over the gateway sleeps until the next client.
    this.#cancelSweep = idleCount === 0 ? undefined : context.clock.after(sweepMs, () => this.#sweep());
  }

  /** Closes connections upstream that have idled; returns how many are left. */
  #closeExpired(nowMs: number): number {
    let idleCount = 0;
    for (const backend of this.#context.router.backends()) {
      for (const endpoint of backend.endpoints()) {
        endpoint.pool?.closeExpired(nowMs);
        idleCount += endpoint.pool?.idleCount ?? 0;
      }
    }
    return idleCount;
  }

  /** Ends connections that hold something, those that have stood still for longest first, until `bytes` are free. */
  #shed(bytes: number, nowMs: number): void {
    const { connections, log } = this.#context;
    const holders = [...connections]
      .filter(({ heldBytes }) => heldBytes > 0)
      .map((connection) => ({ connection, stalledMs: connection.stalledMs(nowMs), heldBytes: connection.heldBytes }))
      .sort((a, b) => b.stalledMs - a.stalledMs || b.heldBytes - a.heldBytes);
    let left = bytes;
    let count = 0;
    for (const { connection, heldBytes } of holders) {
      if (left <= 0) break;
      left -= heldBytes;
      count++;
      connection.shed();
    }
    log.warn({ connections: count }, 'connections were cut off: all together held too much for peers that do not read');
  }

  #readClocks(): number {
    const context = this.#context;
    context.coarseMs = context.clock.monotonic();
    context.dateField = dateField(context.clock.now());
    return context.coarseMs;
  }
}
