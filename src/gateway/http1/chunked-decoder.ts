import type { BodySink } from '../sides.ts';
import type { ChunkedSink } from './chunked.ts';

/**
 * Takes the chunked coding off a body that a ChunkedReader has found well-formed and freed of extensions: each size
 * line is digits and CRLF, and each chunk is as long as it says.
 */
export class ChunkedDecoder implements ChunkedSink {
  readonly #sink: BodySink;
  #size = 0;
  /** Bytes of the chunk's data that are to come. */
  #left = 0;

  constructor(sink: BodySink) {
    this.#sink = sink;
  }

  onChunked(bytes: Buffer, start: number, end: number): void {
    for (let at = start; at < end; ) {
      if (this.#left > 0) {
        const length = Math.min(this.#left, end - at);
        this.#sink.write(bytes.subarray(at, at + length));
        this.#left -= length;
        at += length;
      } else {
        this.#readSize(bytes[at++] ?? 0);
      }
    }
  }

  /** `tail` is the trailer section: behind the last chunk's size line. */
  onChunkedEnd(tail: string): void {
    this.#sink.end(tail.slice(0, -2));
  }

  /** The line's end behind a chunk's data reads like one without digits: a size of nothing. */
  #readSize(byte: number): void {
    if (byte === lineFeed) {
      this.#left = this.#size;
      this.#size = 0;
    } else if (byte !== carriageReturn) {
      // Digits are 0x30 to 0x39, letters of either case have the bit 0x40 and count from 1.
      this.#size = this.#size * 16 + (byte & 0x0f) + ((byte & 0x40) === 0 ? 0 : 9);
    }
  }
}

const carriageReturn = 0x0d;
const lineFeed = 0x0a;
