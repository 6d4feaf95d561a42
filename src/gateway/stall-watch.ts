import type { Socket } from 'node:net';

/** Tells for how long a peer has taken nothing of what was written to it. Costs nothing but when it is looked at. */
export class StallWatch {
  #sinceMs = 0;
  #sentBytes = -1;

  /** Milliseconds that `socket` has stood still with more to send than it should hold; 0 while all goes well. */
  look(socket: Socket | undefined, nowMs: number): number {
    if (socket === undefined || !socket.writableNeedDrain) {
      this.#sentBytes = -1;
      return 0;
    }
    const sentBytes = socket.bytesWritten - socket.writableLength;
    if (sentBytes !== this.#sentBytes) {
      this.#sentBytes = sentBytes;
      this.#sinceMs = nowMs;
    }
    return nowMs - this.#sinceMs;
  }
}
