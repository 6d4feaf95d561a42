import type { Clock } from '../lib/clock.ts';
import type { Quarantine } from '../lib/quarantine.ts';
import type { Logger } from '../observe/log.ts';
import type { GatewayLimits } from './limits.ts';
import type { Router } from './router.ts';
import type { Connection, Protocols } from './sides.ts';

/** What all connections of one gateway share. */
export interface GatewayContext {
  readonly router: Router;
  readonly protocols: Protocols;
  readonly limits: GatewayLimits;
  readonly clock: Clock;
  readonly log: Logger;
  /** Whether a client of that address is of the cluster. */
  readonly isInside: (address: string) => boolean;
  /** Monotonic milliseconds, as of the last sweep: for deadlines that may be a sweep late. */
  coarseMs: number;
  /** A complete Date line, at most a second old. */
  dateField: string;
  /** No connection is kept alive any more. */
  isDraining: boolean;
  readonly counters: GatewayCounters;
  readonly connections: Set<Connection>;
  /** Logs every n-th request; 0 logs none. */
  readonly accessLogEvery: number;
  readonly quarantine: Quarantine;
  /** Counts and logs an error of the gateway's own; `fields` say what it was at. */
  readonly reportFault: (error: unknown, fields?: object) => void;
}

export class GatewayCounters {
  accepted = 0;
  refusedConnections = 0;
  /** Requests ended while the access log is on. */
  ended = 0;
  /** Connections ended because something in the gateway threw. */
  internalErrors = 0;
  /** Connections cut off because all of them together held too much. */
  shed = 0;
  /** Parts of objects that were left out of the present routes. */
  problems = 0;
  /** Requests that no revision saw, by the status of the reply. */
  readonly localReplies = new Map<number, number>();

  countLocalReply(status: number): void {
    this.localReplies.set(status, (this.localReplies.get(status) ?? 0) + 1);
  }
}

export function dateField(nowMs: number): string {
  return `Date: ${new Date(nowMs).toUTCString()}\r\n`;
}
