import type { GatewayLimits } from '../limits.ts';
import type { BodySink } from '../sides.ts';
import { chunkedSinkOf } from './body-writer.ts';
import { ChunkedReader, type ChunkedSink } from './chunked.ts';
import type { Framing } from './request-head.ts';
import { HttpSyntaxError } from './syntax.ts';

/** Bodies up to this size travel with their head, as one string; larger ones by reference. */
const wholeBytes = 16 * 1024;

/** Follows the framing of one body after the other, and passes its bytes on. */
export class BodyReader {
  isDone = true;
  readonly #limits: GatewayLimits;
  readonly #bytesMax: number;
  #framing: Framing = 'none';
  #left = 0;
  #chunked: ChunkedReader | undefined;
  /** Where the chunks of the present body go. */
  #to: ChunkedSink | undefined;

  /** What is longer than `bytesMax`, and does not say so before, is refused. */
  constructor(limits: GatewayLimits, bytesMax: number) {
    this.#limits = limits;
    this.#bytesMax = bytesMax;
  }

  begin(framing: Framing, length: number): void {
    this.isDone = framing === 'none';
    this.#framing = framing;
    this.#left = framing === 'close' ? Number.POSITIVE_INFINITY : length;
    if (framing !== 'chunked') return;
    this.#to = undefined;
    this.#chunked ??= new ChunkedReader();
    this.#chunked.begin();
  }

  /** The body is in other hands, all of it, when that is what is here and it is small; returns whether it is so. */
  takeWhole(availableBytes: number): boolean {
    if (this.isDone) return true;
    if (this.#framing !== 'length' || availableBytes !== this.#left || availableBytes > wholeBytes) return false;
    this.isDone = true;
    return true;
  }

  /** Writes what of `bytes` from `start` on is of the body; returns the offset behind it. Throws HttpSyntaxError. */
  read(bytes: Buffer, start: number, sink: BodySink): number {
    if (this.#framing === 'chunked' && this.#chunked) return this.#readChunked(this.#chunked, bytes, start, sink);
    const end = Math.min(start + this.#left, bytes.length);
    this.#left -= end - start;
    this.isDone = this.#left === 0;
    sink.write(end - start === bytes.length ? bytes : bytes.subarray(start, end));
    if (this.isDone) sink.end('');
    return end;
  }

  #readChunked(chunked: ChunkedReader, bytes: Buffer, start: number, sink: BodySink): number {
    this.#to ??= chunkedSinkOf(sink);
    const end = chunked.read(bytes, start, this.#to, this.#limits);
    this.isDone = chunked.isDone;
    if (chunked.bodyBytes <= this.#bytesMax) return end;
    throw new HttpSyntaxError(413, `the request body is larger than ${this.#bytesMax} bytes`);
  }
}
