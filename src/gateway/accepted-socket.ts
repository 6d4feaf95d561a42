import { Socket } from 'node:net';

/** Called with bytes that are only valid during the call: what must outlive it is copied. */
export type OnBytes = (bytes: Buffer) => void;

/**
 * Where all sockets of the gateway read into: nothing of it is held across two turns. Heads and small bodies travel on
 * as strings, larger pieces are copied once; both are cheaper than new memory for each read.
 */
export const readBuffer = Buffer.allocUnsafeSlow(64 * 1024);

/** What net.Server does with a connection's handle; not documented, hence checked before it is used. */
interface Internals {
  _handle?: { useUserBuffer?: unknown } | null;
  _server?: object | null;
}

/** `bytes` in memory of their own, to be kept or written: copied when they are still in `readBuffer`. */
export function owned(bytes: Buffer): Buffer {
  return bytes.buffer === readBuffer.buffer ? Buffer.from(bytes) : bytes;
}

/** An option that net.Socket has documented for outgoing connections only. */
const SocketOfHandle = Socket as unknown as new (options: {
  handle: object;
  allowHalfOpen: boolean;
  onread: { buffer: Buffer; callback: (length: number) => boolean };
}) => Socket;

/**
 * Has an accepted socket read into `readBuffer`, as `onread` does for outgoing ones: a proxied request was measured to
 * cost 21 µs of CPU instead of 26. net.Server has no option for it, so its handle moves into a socket that has one;
 * where the runtime's insides look different, the socket stays as it is and only speed is lost. Use what is returned.
 */
export function readInto(accepted: Socket, onBytes: OnBytes): Socket {
  const internals = accepted as unknown as Internals;
  const server = internals._server;
  const socket = typeof server === 'object' ? movedHandle(accepted, onBytes) : undefined;
  if (socket === undefined) {
    accepted.on('data', onBytes);
    return accepted;
  }
  // The server counts its connections by this field when they close.
  (socket as unknown as Internals)._server = server ?? null;
  internals._server = null;
  socket.resume();
  return socket;
}

/** A new socket with the handle of `from`, which keeps none; undefined where the runtime's insides look different. */
export function movedHandle(from: Socket, onBytes: OnBytes): Socket | undefined {
  const internals = from as unknown as Internals;
  const handle = internals._handle;
  if (typeof handle?.useUserBuffer !== 'function') return undefined;
  const socket = new SocketOfHandle({ handle, allowHalfOpen: true, onread: readingInto(onBytes) });
  internals._handle = null;
  return socket;
}

/** The option of net.Socket that has it read into `readBuffer`. */
export function readingInto(onBytes: OnBytes): { buffer: Buffer; callback: (length: number) => boolean } {
  const callback = (length: number) => {
    onBytes(length === readBuffer.length ? readBuffer : readBuffer.subarray(0, length));
    return true;
  };
  return { buffer: readBuffer, callback };
}
