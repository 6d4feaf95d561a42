import type { Socket } from 'node:net';
import { owned } from './accepted-socket.ts';
import type { ClientInput } from './client-input.ts';
import { ChunkedReader, type ChunkedSink } from './http1/chunked.ts';
import type { RequestHead } from './http1/request-head.ts';
import { HttpSyntaxError } from './http1/syntax.ts';
import type { GatewayLimits } from './limits.ts';

/** Bodies up to this size travel with their head. */
const wholeBytes = 16 * 1024;

/** The body of the request under way: follows its framing and passes its bytes on. */
export class RequestBody implements ChunkedSink {
  isDone = true;
  readonly #limits: GatewayLimits;
  #left = 0;
  #chunked: ChunkedReader | undefined;
  #isChunked = false;
  #to: Socket | undefined;

  constructor(limits: GatewayLimits) {
    this.#limits = limits;
  }

  begin(head: RequestHead): void {
    this.isDone = head.framing === 'none';
    this.#isChunked = head.framing === 'chunked';
    this.#left = head.contentLength;
    if (this.#isChunked) {
      this.#chunked ??= new ChunkedReader();
      this.#chunked.begin();
    }
  }

  /** The whole body as a latin1 string, to leave with the head in one write, when `input` is it and it is small. */
  takeWhole(input: ClientInput): string {
    if (this.isDone || this.#isChunked || input.length !== this.#left || input.length > wholeBytes) return '';
    this.#left = 0;
    this.isDone = true;
    return input.take()?.toString('latin1') ?? '';
  }

  /** Writes what of `bytes` belongs to the body; returns the offset behind it. Throws HttpSyntaxError. */
  pass(bytes: Buffer, to: Socket): number {
    if (this.#isChunked) return this.#passChunked(bytes, to);
    const length = Math.min(this.#left, bytes.length);
    this.#left -= length;
    this.isDone = this.#left === 0;
    if (length > 0) to.write(owned(length === bytes.length ? bytes : bytes.subarray(0, length)));
    return length;
  }

  onChunked(bytes: Buffer, start: number, end: number): void {
    this.#to?.write(owned(bytes.subarray(start, end)));
  }

  onChunkedEnd(tail: string): void {
    this.#to?.write(tail, 'latin1');
  }

  #passChunked(bytes: Buffer, to: Socket): number {
    const chunked = this.#chunked;
    if (chunked === undefined) throw new Error('a chunked body without its reader');
    this.#to = to;
    const end = chunked.read(bytes, 0, this, this.#limits);
    this.#to = undefined;
    this.isDone = chunked.isDone;
    if (chunked.bodyBytes > this.#limits.bodyBytes) {
      throw new HttpSyntaxError(413, `the request body is larger than ${this.#limits.bodyBytes} bytes`);
    }
    return end;
  }
}
