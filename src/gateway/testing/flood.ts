import type { Socket } from 'node:net';
import type { ChildGateway } from './child-gateway.ts';

/** How many turns of the gateway's event loop without a byte taken show that it waits for its peer. */
const stillTurns = 40;

/**
 * Writes `piece` to each of `sockets` again and again, until each has been sent `bytesMax`, or was closed, or nothing
 * more is taken from it; returns by how many bytes the gateway's memory was larger than before, at most.
 */
export async function flood(
  gateway: ChildGateway,
  sockets: readonly Socket[],
  piece: Buffer,
  bytesMax: number,
): Promise<number> {
  const beforeBytes = await gateway.rssBytes();
  let peakBytes = beforeBytes;
  let taken = -1;
  for (let still = 0; still < stillTurns; still++) {
    let now = 0;
    for (const socket of sockets) {
      while (!socket.destroyed && !socket.writableNeedDrain && socket.bytesWritten < bytesMax) socket.write(piece);
      now += socket.bytesWritten - socket.writableLength;
    }
    // The answer takes a turn of the gateway's event loop.
    peakBytes = Math.max(peakBytes, await gateway.rssBytes());
    if (now !== taken) still = 0;
    taken = now;
    if (sockets.every((socket) => socket.destroyed || now >= bytesMax * sockets.length)) break;
  }
  return peakBytes - beforeBytes;
}
