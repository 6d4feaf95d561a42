import type { Duplex, Readable } from 'node:stream';

/** A connection of bytes both ways: a socket that was upgraded, or what is tunnelled through a WebSocket. */
export interface Transport {
  /** What comes from the peer, until it ends; for one reader. It may throw when the connection breaks. */
  input: AsyncIterable<Buffer>;
  /** Sends the parts in one piece. Resolves when there is room for more; rejects when the connection is gone. */
  send(...parts: Buffer[]): Promise<void>;
  /** Aborts when the connection is gone. */
  gone: AbortSignal;
  /** Grows with all that goes either way and is no mere sign of life: whoever reads and writes messages counts them. */
  traffic: number;
  /** Sends what is waiting, and ends the connection. */
  end(): void;
  /** Ends the connection at once. */
  destroy(): void;
}

/** After the end has been sent, the peer has this long to see it and to close its side. */
const farewellMs = 2000;

export function socketTransport(socket: Duplex, head: Buffer): Transport {
  const gone = new AbortController();
  /** For all who wait for room. */
  let draining: PromiseWithResolvers<void> | undefined;
  socket.on('drain', () => {
    draining?.resolve();
    draining = undefined;
  });
  socket.on('error', () => {}); // Its close follows.
  socket.once('close', () => {
    gone.abort();
    draining?.reject(connectionGone());
    draining = undefined;
  });
  if (socket.destroyed) gone.abort();
  if (head.length > 0) socket.unshift(head);
  return {
    // Who reads no further may still have something to say.
    input: (socket as Readable).iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>,
    gone: gone.signal,
    traffic: 0,
    async send(...parts) {
      if (socket.destroyed || socket.writableEnded) throw connectionGone();
      socket.cork();
      for (const part of parts) socket.write(part);
      socket.uncork();
      if (!socket.writableNeedDrain) return;
      draining ??= withoutOwner(Promise.withResolvers<void>());
      await draining.promise;
    },
    end() {
      if (socket.destroyed) return;
      socket.resume(); // What the peer still sends is dropped: its end lies behind it.
      const late = () => setTimeout(() => socket.destroy(), farewellMs).unref();
      if (socket.writableEnded) late();
      else socket.end(late);
    },
    destroy() {
      socket.destroy();
    },
  };
}

/** Nobody may be waiting when it is rejected. */
function withoutOwner<T>(resolvers: PromiseWithResolvers<T>): PromiseWithResolvers<T> {
  resolvers.promise.catch(() => {});
  return resolvers;
}

const connectionGone = () => new Error('the connection to the client is gone');
