import { Readable } from 'node:stream';

/** What a peer sends on one of several streams of a connection: who brings it waits while the reader is behind. */
export class Inbox extends Readable {
  #waiting: (() => void) | undefined;

  /** Resolves when there is room for more; at once when nobody reads any longer, and then the bytes are dropped. */
  async put(bytes: Buffer): Promise<void> {
    if (this.destroyed || this.readableEnded || bytes.length === 0 || this.push(bytes)) return;
    await new Promise<void>((resolve) => {
      this.#waiting = resolve;
    });
  }

  /** Nothing more comes. */
  finish(): void {
    if (!this.destroyed && !this.readableEnded) this.push(null);
  }

  override _read(): void {
    this.#goOn();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#goOn();
    done(error);
  }

  #goOn(): void {
    this.#waiting?.();
    this.#waiting = undefined;
  }
}
