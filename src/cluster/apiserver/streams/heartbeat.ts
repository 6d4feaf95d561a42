import type { Clock } from '../../../lib/clock.ts';
import type { Transport } from './transport.ts';

/** As the kubelet: a connection on which nothing moves is ended (`streamingConnectionIdleTimeout`). */
const idleMsDefault = 4 * 3600 * 1000;
/**
 * How often this side says that it lives. Who waits for a command that does not read sees no end of the connection, but
 * notices when it cannot write; and kubectl takes a minute of silence for the end.
 */
const beatMs = 10_000;

export interface HeartbeatOptions {
  clock: Clock;
  /** 4 h. */
  idleMs?: number | undefined;
}

/** Says now and then that this side lives, and ends the connection after `idleMs` in which nothing has moved on it. */
export function keepAlive(transport: Transport, beat: () => Promise<void>, options: HeartbeatOptions): void {
  const { clock, idleMs = idleMsDefault } = options;
  let movedAtMs = clock.monotonic();
  let { traffic } = transport;
  let isBeating = false;
  let cancel = () => {};
  const tick = () => {
    if (transport.traffic !== traffic) movedAtMs = clock.monotonic();
    traffic = transport.traffic;
    if (clock.monotonic() - movedAtMs >= idleMs) return transport.destroy();
    // One at a time: to a client that does not read, they would pile up.
    if (!isBeating) {
      isBeating = true;
      beat()
        .catch(() => {}) // Its end is seen by all who wait for it.
        .finally(() => {
          isBeating = false;
        });
    }
    cancel = clock.after(Math.min(beatMs, idleMs), tick);
  };
  if (transport.gone.aborted) return;
  cancel = clock.after(Math.min(beatMs, idleMs), tick);
  transport.gone.addEventListener('abort', () => cancel(), { once: true });
}
