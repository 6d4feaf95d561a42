import type { BodySink } from '../sides.ts';
import type { ChunkedSink } from './chunked.ts';

/**
 * Takes the chunked coding off a body that a ChunkedReader has found well-formed and freed of extensions: each size
 * line is digits and CRLF, and each chunk is as long as it says.
 */
export class ChunkedDecoder implements ChunkedSink {
  readonly #sink: BodySink;
  #size = 0;
  /** Bytes of the chunk's data that are to come, and then of the CRLF behind it. */
  #left = 0;

  constructor(sink: BodySink) {
    this.#sink = sink;
  }

  onChunked(bytes: Buffer, start: number, end: number): void {
    for (let at = start; at < end; ) {
      if (this.#left > 2) {
        const length = Math.min(this.#left - 2, end - at);
        this.#sink.write(bytes.subarray(at, at + length));
        this.#left -= length;
        at += length;
      } else if (this.#left > 0) {
        this.#left--;
        at++;
      } else {
        this.#readSize(bytes[at++] ?? 0);
      }
    }
  }

  /** `tail` is the trailer section: behind the last chunk's size line. */
  onChunkedEnd(tail: string): void {
    this.#sink.end(tail.slice(0, -2));
  }

  #readSize(byte: number): void {
    if (byte === lineFeed) {
      this.#left = this.#size === 0 ? 0 : this.#size + 2;
      this.#size = 0;
    } else if (byte !== carriageReturn) {
      this.#size = this.#size * 16 + Number.parseInt(String.fromCharCode(byte), 16);
    }
  }
}

const carriageReturn = 0x0d;
const lineFeed = 0x0a;
