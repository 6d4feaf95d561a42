import { owned } from '../accepted-socket.ts';
import type { GatewayLimits } from '../limits.ts';
import { findHeadEnd } from './head-end.ts';
import { type RequestHead, readRequestHead } from './request-head.ts';
import { HttpSyntaxError } from './syntax.ts';

/** What a client has sent and nobody has used yet: a head that has begun, or what came behind the present request. */
export class ClientInput {
  readonly #limits: GatewayLimits;
  #bytes: Buffer | undefined;
  /** How much of it has been searched for the head's end. */
  #searched = 0;

  constructor(limits: GatewayLimits) {
    this.#limits = limits;
  }

  get isEmpty(): boolean {
    return this.#bytes === undefined;
  }

  get length(): number {
    return this.#bytes === undefined ? 0 : this.#bytes.length;
  }

  /** A head has begun, and its end has not come. */
  get isInHead(): boolean {
    return this.#searched > 0;
  }

  /** Nothing more should be read from the client for now. */
  get isFull(): boolean {
    return this.length >= this.#limits.stashBytes;
  }

  /** Whether its first bytes are those of `text` (latin1). */
  startsWith(text: string): boolean {
    return this.#bytes?.toString('latin1', 0, text.length) === text;
  }

  /** Adds `bytes`, which may be valid during this turn only: `keep` makes them last. */
  add(bytes: Buffer): void {
    this.#bytes = this.#bytes === undefined ? bytes : Buffer.concat([this.#bytes, bytes]);
  }

  keep(): void {
    if (this.#bytes !== undefined) this.#bytes = owned(this.#bytes);
  }

  take(): Buffer | undefined {
    const bytes = this.#bytes;
    this.#bytes = undefined;
    this.#searched = 0;
    return bytes;
  }

  /** Takes a whole head off into `head`; returns whether there was one. Throws HttpSyntaxError. */
  readHead(head: RequestHead): boolean {
    const input = this.#bytes;
    if (input === undefined) return false;
    const { headBytes, targetBytes } = this.#limits;
    // RFC 9112 §2.2: an empty line in front of a request line is ignored.
    const start = input[0] === 0x0d && input[1] === 0x0a ? 2 : 0;
    const end = findHeadEnd(input, start, Math.max(start, this.#searched));
    if ((end === -1 ? input.length : end) - start > headBytes) throw tooLong(input, headBytes, targetBytes);
    if (end === -1) {
      this.#searched = input.length;
      if (input.length > targetBytes + 64 && input.indexOf(0x0a, start) === -1) {
        throw tooLong(input, headBytes, targetBytes);
      }
      return false;
    }
    this.#searched = 0;
    readRequestHead(input.toString('latin1', start, end), head, this.#limits);
    this.#bytes = end === input.length ? undefined : input.subarray(end);
    return true;
  }
}

function tooLong(input: Buffer, headBytes: number, targetBytes: number): HttpSyntaxError {
  const lineEnd = input.indexOf(0x0a);
  return lineEnd === -1 || lineEnd > targetBytes + 64
    ? new HttpSyntaxError(414, `the request target is longer than ${targetBytes} bytes`)
    : new HttpSyntaxError(431, `the request head is longer than ${headBytes} bytes`);
}
