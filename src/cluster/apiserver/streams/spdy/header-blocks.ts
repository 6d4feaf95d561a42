import { createInflate, type Inflate } from 'node:zlib';
import { dictionary } from './dictionary.ts';
import { SpdyError } from './frames.ts';

/** What the header blocks of one frame may be when they are unpacked: a few kilobytes can become gigabytes. */
const headersBytesMax = 64 * 1024;
const pairsMax = 100;

/** The headers that a peer sends: all of a connection are one zlib stream, so they are read in their order. */
export class HeaderReader {
  readonly #inflate: Inflate = createInflate({ dictionary });
  #parts: Buffer[] = [];
  #unpackedBytes = 0;
  #error: Error | undefined;

  constructor() {
    this.#inflate.on('data', (part: Buffer) => {
      this.#unpackedBytes += part.length;
      this.#parts.push(part);
      if (this.#unpackedBytes > headersBytesMax) this.#fail(new SpdyError('a header block is too long'));
    });
    this.#inflate.on('error', (error) => this.#fail(error));
  }

  /** Names are in small letters. Throws SpdyError. */
  async read(block: Buffer): Promise<Map<string, string>> {
    this.#parts = [];
    this.#unpackedBytes = 0;
    await new Promise<void>((resolve) => {
      if (this.#inflate.destroyed || block.length === 0) resolve();
      else {
        this.#inflate.once('close', resolve);
        this.#inflate.write(block, () => {
          this.#inflate.off('close', resolve);
          resolve();
        });
      }
    });
    if (this.#error) throw new SpdyError(`a header block cannot be unpacked: ${this.#error.message}`);
    return headersOf(Buffer.concat(this.#parts));
  }

  close(): void {
    this.#inflate.destroy();
  }

  #fail(error: Error): void {
    this.#error ??= error;
    this.#parts = [];
    this.#inflate.destroy();
  }
}

function headersOf(bytes: Buffer): Map<string, string> {
  let at = 0;
  const number = () => {
    if (at + 4 > bytes.length) throw new SpdyError('a header block ends too soon');
    at += 4;
    return bytes.readUInt32BE(at - 4);
  };
  const text = () => {
    const length = number();
    if (length > bytes.length - at) throw new SpdyError('a header block ends too soon');
    at += length;
    return bytes.toString('latin1', at - length, at);
  };
  const count = number();
  if (count > pairsMax) throw new SpdyError(`a header block has ${count} headers`);
  const headers = new Map<string, string>();
  for (let i = 0; i < count; i++) headers.set(text().toLowerCase(), text());
  return headers;
}

/** The header blocks that this side sends: they say nothing, and are stored in the zlib stream as they are. */
export class EmptyHeaders {
  #hasBegun = false;

  next(): Buffer {
    const begin = Buffer.from(this.#hasBegun ? [] : [0x78, 0x01]);
    this.#hasBegun = true;
    return Buffer.concat([begin, noHeaders, flush]);
  }
}

/** A stored block (RFC 1951, 3.2.4) of four bytes: the number of headers. */
const noHeaders = Buffer.from([0, 4, 0, 0xfb, 0xff, 0, 0, 0, 0]);
/** An empty one: Go gives out what it has read only then. */
const flush = Buffer.from([0, 0, 0, 0xff, 0xff]);
