import type { IncomingMessage } from 'node:http';
import type { Clock } from '../../lib/clock.ts';
import { RegistryError } from './error.ts';

/** How slow a body may come: at least `bytesMin` in every `everyMs` that are spent waiting for it, or all of it. */
export interface Pace {
  clock: Clock;
  bytesMin: number;
  everyMs: number;
}

/**
 * The body's chunks. Who sends slower than the pace is answered 408: a session that is at work is never given up for
 * another, so nobody may be at work for good. Leaving the loop early leaves the connection alone, so that the reason
 * can still be answered.
 */
export async function* bodyOf(request: IncomingMessage, { clock, bytesMin, everyMs }: Pace): AsyncGenerator<Buffer> {
  let wake: (() => void) | undefined;
  let recentBytes = 0;
  let isTooSlow = false;
  const onEvent = () => wake?.();
  const check = () => {
    // Without a waiter it is the disk that is slow, not the client.
    isTooSlow = wake !== undefined && recentBytes < bytesMin;
    recentBytes = 0;
    if (isTooSlow) wake?.();
    else cancel = clock.after(everyMs, check);
  };
  let cancel = clock.after(everyMs, check);
  const events = ['readable', 'end', 'error', 'close'] as const;
  for (const event of events) request.on(event, onEvent);
  try {
    while (!request.readableEnded) {
      const chunk = request.read() as Buffer | null;
      if (chunk !== null) {
        recentBytes += chunk.length;
        yield chunk;
        continue;
      }
      if (request.readableEnded) return;
      if (request.errored) throw request.errored;
      if (request.destroyed) throw new Error('the client went away before its body was whole');
      if (isTooSlow) {
        const message = `the body came slower than ${bytesMin} bytes in ${everyMs / 1000} seconds`;
        throw new RegistryError('BLOB_UPLOAD_INVALID', message, { status: 408, headers: { connection: 'close' } });
      }
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
      wake = undefined;
    }
  } finally {
    cancel();
    for (const event of events) request.off(event, onEvent);
  }
}
