import type { GatewayLimits } from '../limits.ts';
import type { BodySink } from '../sides.ts';
import { chunkedSinkOf } from './body-writer.ts';
import { ChunkedReader, type ChunkedSink } from './chunked.ts';
import type { ClientInput } from './client-input.ts';
import type { RequestHead } from './request-head.ts';
import { HttpSyntaxError } from './syntax.ts';

/** Bodies up to this size travel with their head. */
const wholeBytes = 16 * 1024;

/** The body of the request under way: follows its framing and passes its bytes on. */
export class RequestBody {
  isDone = true;
  readonly #limits: GatewayLimits;
  #left = 0;
  #chunked: ChunkedReader | undefined;
  #isChunked = false;
  #to: ChunkedSink | undefined;

  constructor(limits: GatewayLimits) {
    this.#limits = limits;
  }

  begin(head: RequestHead): void {
    this.isDone = head.framing === 'none';
    this.#isChunked = head.framing === 'chunked';
    this.#left = head.contentLength;
    if (this.#isChunked) {
      this.#to = undefined;
      this.#chunked ??= new ChunkedReader();
      this.#chunked.begin();
    }
  }

  /** The whole body as a latin1 string, to leave with the head in one write, when `input` is it and it is small. */
  takeWhole(input: ClientInput): string | undefined {
    if (this.isDone) return '';
    if (this.#isChunked || input.length !== this.#left || input.length > wholeBytes) return undefined;
    this.isDone = true;
    return input.take()?.toString('latin1') ?? '';
  }

  /** Writes what of `bytes` belongs to the body; returns the offset behind it. Throws HttpSyntaxError. */
  pass(bytes: Buffer, to: BodySink): number {
    if (this.#isChunked) return this.#passChunked(bytes, to);
    const length = Math.min(this.#left, bytes.length);
    this.#left -= length;
    this.isDone = this.#left === 0;
    to.write(length === bytes.length ? bytes : bytes.subarray(0, length));
    if (this.isDone) to.end('');
    return length;
  }

  #passChunked(bytes: Buffer, to: BodySink): number {
    const chunked = this.#chunked;
    if (chunked === undefined) throw new Error('a chunked body without its reader');
    this.#to ??= chunkedSinkOf(to);
    const end = chunked.read(bytes, 0, this.#to, this.#limits);
    this.isDone = chunked.isDone;
    if (chunked.bodyBytes > this.#limits.bodyBytes) {
      throw new HttpSyntaxError(413, `the request body is larger than ${this.#limits.bodyBytes} bytes`);
    }
    return end;
  }
}
