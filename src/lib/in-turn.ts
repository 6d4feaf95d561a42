import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** Requests of one connection that wait for the one before; no client of ours sends so many. */
const pipelinedMax = 16;
const connections = new WeakMap<Socket, { last: Promise<void>; waiting: number }>();

/**
 * Requests that a client sends on one connection without waiting for replies are answered one after the other: those
 * behind a reply that is not read cost no more than their heads. Who sends more of them than that is cut off. `answer`
 * is not called for a connection that is gone; what it throws is thrown.
 */
export async function inTurn(socket: Socket, response: ServerResponse, answer: () => Promise<void>): Promise<void> {
  if (socket.destroyed) return;
  const before = connections.get(socket);
  const last = new Promise<void>((resolve) => response.once('close', resolve));
  const line = { last, waiting: (before?.waiting ?? 0) + 1 };
  if (line.waiting > pipelinedMax) {
    socket.destroy();
    return;
  }
  connections.set(socket, line);
  response.once('close', () => {
    const now = connections.get(socket);
    if (now) now.waiting--;
  });
  if (before) await before.last;
  await answer();
}
