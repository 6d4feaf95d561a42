import { FieldWalker } from './fields.ts';
import type { MessageLimits } from './limits.ts';
import { HttpSyntaxError, valueCharacters } from './syntax.ts';

/** What a chunked body's bytes are passed on to, in order. */
export interface ChunkedSink {
  /** Bytes [start, end) of `bytes`: whole or partial chunks, still in the chunked coding, without extensions. */
  onChunked(bytes: Buffer, start: number, end: number): void;
  /** The body has ended: what remains to be sent behind the last chunk, trailer fields and the empty line. */
  onChunkedEnd(tail: string): void;
}

const state = { size: 0, extension: 1, sizeLf: 2, data: 3, dataCr: 4, dataLf: 5, trailer: 6, done: 7 } as const;
type State = (typeof state)[keyof typeof state];

/** Enough for every size up to 2^53 - 1; more are zeros in front of one, or nobody's chunk. */
const sizeDigitsMax = 14;

/**
 * Checks a chunked body (RFC 9112 §7.1) as it streams by, without copying: what is well-formed goes to the sink as it
 * came, except for chunk extensions (dropped, as they concern one hop) and the trailer section (held until complete,
 * checked, and cleared of fields that must not be there). Throws HttpSyntaxError on the first wrong byte.
 *
 *   size ──▶ [extension] ──▶ LF ──▶ data ──▶ CR LF ──▶ size …      size 0 ──▶ trailer ──▶ done
 */
export class ChunkedReader {
  #state: State = state.size;
  #size = 0;
  #digits = 0;
  /** Extensions of the body so far that its chunks do not outweigh: skipped, but they must not be all there is. */
  #extensionBytes = 0;
  #trailer = '';
  /** Payload bytes seen so far, without the coding. */
  bodyBytes = 0;

  get isDone(): boolean {
    return this.#state === state.done;
  }

  begin(): void {
    this.#state = state.size;
    this.#size = 0;
    this.#digits = 0;
    this.#extensionBytes = 0;
    this.#trailer = '';
    this.bodyBytes = 0;
  }

  /** Reads from `start`; returns the offset behind what belongs to this body. */
  read(bytes: Buffer, start: number, sink: ChunkedSink, limits: MessageLimits): number {
    let at = start;
    let passFrom = start;
    while (at < bytes.length && this.#state !== state.trailer) {
      const byte = bytes[at] ?? 0;
      switch (this.#state) {
        case state.size: {
          const digit = hexDigit(byte);
          if (digit !== -1) {
            if (++this.#digits > sizeDigitsMax) throw new HttpSyntaxError(400, 'a chunk size is too long');
            this.#size = this.#size * 16 + digit;
            // Beyond it numbers are no longer exact: two readers would see the chunk end at different bytes.
            if (this.#size > Number.MAX_SAFE_INTEGER) throw new HttpSyntaxError(400, 'a chunk size is too large');
          } else if (this.#digits > 0 && byte === 0x0d) {
            this.#state = state.sizeLf;
          } else if (this.#digits > 0 && byte === 0x3b) {
            if (passFrom < at) sink.onChunked(bytes, passFrom, at);
            passFrom = -1;
            this.#readExtension(byte, limits);
          } else {
            throw new HttpSyntaxError(400, 'a chunk size is not a hexadecimal number');
          }
          at++;
          break;
        }
        case state.extension:
          if (byte === 0x0d) {
            passFrom = at;
            this.#state = state.sizeLf;
          } else {
            passFrom = -1;
            this.#readExtension(byte, limits);
          }
          at++;
          break;
        case state.sizeLf:
          expect(byte, 0x0a, 'a chunk size does not end in CRLF');
          at++;
          this.#digits = 0;
          this.#extensionBytes = Math.max(0, this.#extensionBytes - this.#size);
          this.#state = this.#size === 0 ? state.trailer : state.data;
          break;
        case state.data: {
          const length = Math.min(this.#size, bytes.length - at);
          at += length;
          this.bodyBytes += length;
          this.#size -= length;
          if (this.#size === 0) this.#state = state.dataCr;
          break;
        }
        case state.dataCr:
          expect(byte, 0x0d, 'a chunk is longer than its size');
          at++;
          this.#state = state.dataLf;
          break;
        case state.dataLf:
          expect(byte, 0x0a, 'a chunk does not end in CRLF');
          at++;
          this.#state = state.size;
          break;
        default:
          throw new Error('a chunked body was read past its end');
      }
    }
    if (passFrom !== -1 && passFrom < at) sink.onChunked(bytes, passFrom, at);
    return this.#state === state.trailer ? this.#readTrailer(bytes, at, sink, limits) : at;
  }

  /** RFC 9112 §7.1.1, widened to a field value's characters: nothing that a lenient parser takes for a line's end. */
  #readExtension(byte: number, limits: MessageLimits): void {
    this.#state = state.extension;
    if (valueCharacters[byte] !== 1) throw new HttpSyntaxError(400, 'a chunk extension has a control character in it');
    if (++this.#extensionBytes > limits.extensionBytes) throw new HttpSyntaxError(400, 'a chunk extension is too long');
  }

  #readTrailer(bytes: Buffer, start: number, sink: ChunkedSink, limits: MessageLimits): number {
    let at = start;
    for (;;) {
      const lf = bytes.indexOf(0x0a, at);
      const end = lf === -1 ? bytes.length : lf + 1;
      if (this.#trailer.length + (end - at) > limits.trailerBytes) {
        throw new HttpSyntaxError(431, `the trailer section is longer than ${limits.trailerBytes} bytes`);
      }
      this.#trailer += bytes.toString('latin1', at, end);
      at = end;
      if (lf === -1) return at;
      if (!this.#trailer.endsWith('\r\n')) throw new HttpSyntaxError(400, 'a line ends in LF without CR');
      if (this.#trailer === '\r\n' || this.#trailer.endsWith('\r\n\r\n')) {
        const tail = `${checkedTrailer(this.#trailer, limits)}\r\n`;
        this.#state = state.done;
        sink.onChunkedEnd(tail);
        return at;
      }
    }
  }
}

const walker = new FieldWalker();

/** The trailer fields as lines, without those that RFC 9110 §6.5.1 forbids there. */
function checkedTrailer(section: string, limits: MessageLimits): string {
  let kept = '';
  walker.begin(section, 0, limits);
  while (walker.next()) {
    const name = section.slice(walker.lineStart, walker.nameEnd).toLowerCase();
    if (!forbiddenTrailers.has(name) && !name.startsWith('knative-serving-')) {
      kept += section.slice(walker.lineStart, walker.lineEnd);
    }
  }
  return kept;
}

/** Framing, routing, authentication and request modifiers: dangerous when merged into a head. */
const forbiddenTrailers: ReadonlySet<string> = new Set([
  ...'authorization cache-control connection content-encoding content-length content-range content-type'.split(' '),
  ...'cookie expect forwarded host keep-alive max-forwards proxy-authorization proxy-connection range'.split(' '),
  ...'set-cookie te trailer transfer-encoding upgrade x-forwarded-for x-forwarded-host x-forwarded-proto'.split(' '),
]);

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

function expect(byte: number, wanted: number, message: string): void {
  if (byte !== wanted) throw new HttpSyntaxError(400, message);
}
