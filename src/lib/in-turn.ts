import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** Of each connection, when the reply to its last request is through. */
const lines = new WeakMap<Socket, Promise<void>>();

/**
 * Requests that a client sends on one HTTP/1.1 connection without waiting for replies are answered one after the other:
 * those behind a reply that is not read cost no more than their heads. How many there may be says the server
 * (`pipelinedMax` in node-http.ts). `answer` is not called for a connection that is gone; what it throws is thrown.
 * Resolves when the reply is through.
 */
export async function inTurn(socket: Socket, response: ServerResponse, answer: () => Promise<void>): Promise<void> {
  const before = lines.get(socket);
  const through = Promise.withResolvers<void>();
  response.once('close', through.resolve);
  lines.set(socket, through.promise);
  if (before) await before;
  if (socket.destroyed) {
    through.resolve(); // A response that was never at its turn is not closed with its connection.
    return;
  }
  await answer();
  await through.promise;
}
