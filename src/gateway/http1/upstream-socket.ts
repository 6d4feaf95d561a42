import { Socket } from 'node:net';
import { movedHandle, type OnBytes, readingInto } from '../accepted-socket.ts';

/**
 * A socket to a pod that can still be read when writing to it fails. A server that has answered before it took the
 * whole request, and closed, resets what comes after: its reply (413, say) is in our receive buffer then, but Node
 * closes a socket at the first failed write. So the handle moves into a socket that only reads.
 */
export class UpstreamSocket extends Socket {
  readonly #onBytes: OnBytes;
  readonly #onDeaf: (reader: Socket, why: Error) => void;

  constructor(onBytes: OnBytes, onDeaf: (reader: Socket, why: Error) => void) {
    super({ allowHalfOpen: true, onread: readingInto(onBytes), noDelay: true } as ConstructorParameters<
      typeof Socket
    >[0]);
    this.#onBytes = onBytes;
    this.#onDeaf = onDeaf;
  }

  override destroy(error?: Error): this {
    const isPaused = this.isPaused();
    const reader = isFailedWrite(error) && !this.destroyed ? movedHandle(this, this.#onBytes) : undefined;
    super.destroy(error);
    if (reader !== undefined && error !== undefined) {
      if (isPaused) reader.pause();
      else reader.resume();
      this.#onDeaf(reader, error);
    }
    return this;
  }
}

function isFailedWrite(error: NodeJS.ErrnoException | undefined): boolean {
  return error?.syscall === 'write' && (error.code === 'EPIPE' || error.code === 'ECONNRESET');
}
