import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** No client of ours sends as many. */
const waitingMaxDefault = 16;

/** The requests of one connection: when the last one's reply is through, and how many wait for their turn. */
interface Line {
  last: Promise<void> | undefined;
  waiting: number;
}

const lines = new WeakMap<Socket, Line>();

/**
 * Requests that a client sends on one HTTP/1.1 connection without waiting for replies are answered one after the other:
 * those behind a reply that is not read cost no more than their heads. Who has more than `waitingMax` of them wait is
 * cut off: a reply that says so would have to wait, too. `answer` is not called for a connection that is gone; what it
 * throws is thrown. Resolves when the reply is through.
 */
export async function inTurn(
  socket: Socket,
  response: ServerResponse,
  answer: () => Promise<void>,
  waitingMax = waitingMaxDefault,
): Promise<void> {
  const line = lines.get(socket) ?? { last: undefined, waiting: 0 };
  lines.set(socket, line);
  if (line.waiting >= waitingMax) {
    socket.destroy();
    return;
  }
  const before = line.last;
  const through = Promise.withResolvers<void>();
  response.once('close', through.resolve);
  line.last = through.promise;
  if (before) {
    line.waiting++;
    await before;
    line.waiting--;
  }
  if (socket.destroyed) {
    through.resolve(); // A response that was never at its turn is not closed with its connection.
    return;
  }
  await answer();
  await through.promise;
}
