import type { Socket } from 'node:net';
import { owned } from '../accepted-socket.ts';
import type { BodySink } from '../sides.ts';
import type { ChunkedSink } from './chunked.ts';
import { ChunkedDecoder } from './chunked-decoder.ts';

/** `raw`: by a length, or of another protocol that has been switched to: then its end is the end of the stream. */
export type Coding = 'raw' | 'chunked' | 'tunnel';

/**
 * Writes bodies into a socket, one after the other. Between two sides that both speak HTTP/1 a chunked body is passed
 * on as it came, not decoded and coded again: the reader of one finds, by `chunkedSinkOf`, that the other's sink takes
 * coded bytes.
 */
export class BodyWriter implements BodySink, ChunkedSink {
  readonly #socket: Socket;
  /** The end was written. */
  isDone = true;
  #coding: Coding = 'raw';

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  begin(coding: Coding): void {
    this.#coding = coding;
    this.isDone = false;
  }

  get isFull(): boolean {
    return this.#socket.writableNeedDrain;
  }

  write(bytes: Buffer): void {
    if (bytes.length === 0) return;
    if (this.#coding !== 'chunked') {
      this.#socket.write(owned(bytes));
      return;
    }
    this.#socket.cork();
    this.#socket.write(`${bytes.length.toString(16)}\r\n`, 'latin1');
    this.#socket.write(owned(bytes));
    this.#socket.write('\r\n', 'latin1');
    this.#socket.uncork();
  }

  end(trailers: string): void {
    this.isDone = true;
    if (this.#coding === 'chunked') this.#socket.write(`0\r\n${trailers}\r\n`, 'latin1');
    else if (this.#coding === 'tunnel') this.#socket.end();
  }

  onChunked(bytes: Buffer, start: number, end: number): void {
    this.#socket.write(owned(bytes.subarray(start, end)));
  }

  onChunkedEnd(tail: string): void {
    this.isDone = true;
    this.#socket.write(tail, 'latin1');
  }

  cork(): void {
    this.#socket.cork();
  }

  uncork(): void {
    this.#socket.uncork();
  }
}

/** Where a chunked body goes that is on its way to `sink`: there as it is, or decoded. */
export function chunkedSinkOf(sink: BodySink): ChunkedSink {
  return sink instanceof BodyWriter ? sink : new ChunkedDecoder(sink);
}
