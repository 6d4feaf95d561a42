/**
 * Bytes that come in pieces, in at most twice their size of memory however small the pieces are: a list of pieces of
 * one byte would take a hundred times as much. One piece alone is kept as it is.
 */
export class GrowingBuffer {
  #bytes: Buffer = empty;
  #isOwn = false;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(piece: Buffer): void {
    const length = this.#length + piece.length;
    if (this.#length === 0) {
      this.#bytes = piece;
      this.#isOwn = false;
    } else {
      if (!this.#isOwn || length > this.#bytes.length) this.#grow(length);
      piece.copy(this.#bytes, this.#length);
    }
    this.#length = length;
  }

  /** All of them, in a buffer that holds on to no more than they need; nothing may be pushed afterwards. */
  whole(): Buffer {
    if (!this.#isOwn) return this.#bytes;
    const bytes = this.#bytes.subarray(0, this.#length);
    return this.#length * 2 > this.#bytes.length ? bytes : Buffer.from(bytes);
  }

  #grow(length: number): void {
    const grown = Buffer.allocUnsafeSlow(Math.max(1024, 2 ** Math.ceil(Math.log2(length))));
    this.#bytes.copy(grown, 0, 0, this.#length);
    this.#bytes = grown;
    this.#isOwn = true;
  }
}

const empty = Buffer.alloc(0);
