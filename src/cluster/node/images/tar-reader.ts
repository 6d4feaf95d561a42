import { nameOf } from './names.ts';

/** What a tar says of an entry. Names and link targets are as `nameOf` makes them of bytes. */
export interface TarHeader {
  name: string;
  type: TarType;
  mode: number;
  uid: number;
  gid: number;
  sizeBytes: number;
  /** In seconds, undefined when it is no time. */
  mtime: number | undefined;
  linkName: string;
  /** Of a device. */
  major: number;
  minor: number;
  /** Extended attributes by name. */
  xattrs: ReadonlyMap<string, Buffer>;
}

export type TarType = 'file' | 'link' | 'symlink' | 'character-device' | 'block-device' | 'directory' | 'fifo';

/** Takes what a tar holds: an entry, its content in pieces (they may be written over afterwards), its end. */
export interface TarSink {
  entry(header: TarHeader): void;
  content(piece: Buffer): void;
  end(): void;
}

const block = 512;
/** Of extended headers and long names together, for one entry: names have 4 KiB at most, attributes 64 KiB each. */
const extendedMaxBytes = 1024 * 1024;

const types: Readonly<Record<string, TarType>> = {
  ...{ '0': 'file', '\0': 'file', '7': 'file', '1': 'link', '2': 'symlink' },
  ...{ '3': 'character-device', '4': 'block-device', '5': 'directory', '6': 'fifo' },
};

/**
 * Reads a tar as it comes (POSIX.1-2017 pax; GNU's long names and binary numbers; names before POSIX), in one go
 * for each piece: nothing is waited for, and no more is kept than a header. Throws an Error that says what is wrong.
 *
 *     header ──▶ [extended: a pax header, a long name] ──▶ entry ──▶ content ──▶ padding ──▶ header …
 */
export class TarReader {
  readonly #sink: TarSink;
  #state: 'header' | 'extended' | 'content' | 'padding' | 'ended' = 'header';
  /** What of a header, or an extended one, has come. */
  readonly #head = Buffer.alloc(block);
  #headBytes = 0;
  #extended: { type: string; pieces: Buffer[]; sizeBytes: number } = { type: '', pieces: [], sizeBytes: 0 };
  #extendedBytes = 0;
  #leftBytes = 0;
  #paddingBytes = 0;
  #global = new Map<string, Buffer>();
  #pax = new Map<string, Buffer>();
  #longName: Buffer | undefined;
  #longLink: Buffer | undefined;

  constructor(sink: TarSink) {
    this.#sink = sink;
  }

  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      const rest = chunk.length - at;
      if (this.#state === 'ended') return;
      if (this.#state === 'header') {
        at += this.#header(chunk, at);
      } else if (this.#state === 'padding') {
        const skipped = Math.min(rest, this.#paddingBytes);
        this.#paddingBytes -= skipped;
        at += skipped;
        if (this.#paddingBytes === 0) this.#state = 'header';
      } else {
        const taken = Math.min(rest, this.#leftBytes);
        const piece = chunk.subarray(at, at + taken);
        if (this.#state === 'content') this.#sink.content(piece);
        else this.#extended.pieces.push(Buffer.from(piece));
        this.#leftBytes -= taken;
        at += taken;
        if (this.#leftBytes === 0) this.#complete();
      }
    }
  }

  /** Nothing comes any more. */
  end(): void {
    const isBetween = this.#state === 'header' && this.#headBytes === 0;
    if (this.#state !== 'ended' && !isBetween)
      throw new Error('the layer ends within an entry: unexpected end of data');
  }

  /** Takes bytes for a header; returns how many. */
  #header(chunk: Buffer, at: number): number {
    if (this.#headBytes === 0 && chunk.length - at >= block) {
      this.#begin(chunk.subarray(at, at + block));
      return block;
    }
    const taken = chunk.copy(this.#head, this.#headBytes, at, Math.min(chunk.length, at + block - this.#headBytes));
    this.#headBytes += taken;
    if (this.#headBytes === block) {
      this.#headBytes = 0;
      this.#begin(this.#head);
    }
    return taken;
  }

  #begin(head: Buffer): void {
    if (!isSummed(head)) {
      // A block of zeros: the end, as everybody writes two of them.
      if (head.every((byte) => byte === 0)) this.#state = 'ended';
      else throw new Error('the layer is no tar, or damaged: a header has a wrong checksum');
      return;
    }
    const letter = String.fromCharCode(head[156] ?? 0);
    const isExtended = 'xgLK'.includes(letter);
    const pax = isExtended ? noPax : this.#paxOf();
    const name = pax.get('path') ?? (isExtended ? undefined : this.#longName) ?? nameIn(head);
    const sizeBytes = sizeIn(head, pax, name);
    if (isExtended) {
      this.#extendedBytes += sizeBytes;
      if (this.#extendedBytes > extendedMaxBytes) {
        throw new Error(`an extended header exceeds the max size of ${extendedMaxBytes} bytes`);
      }
      this.#extended = { type: letter, pieces: [], sizeBytes };
      this.#follow('extended', sizeBytes);
      return;
    }
    const text = nameOf(name);
    if (letter === 'S' || [...pax.keys()].some((key) => key.startsWith('GNU.sparse.'))) {
      throw new Error(
        `the entry ${JSON.stringify(text.slice(0, 200))} is of a type that is not supported: a sparse file`,
      );
    }
    const plain = types[letter];
    if (!plain) {
      const what = `the entry ${JSON.stringify(text.slice(0, 200))} is of a type that is not supported`;
      throw new Error(`${what}: ${JSON.stringify(letter)}`);
    }
    // Before POSIX, a folder was a file whose name ends so.
    const type = plain === 'file' && text.endsWith('/') ? 'directory' : plain;
    this.#sink.entry({
      ...{ name: text, type, sizeBytes },
      mode: (numberIn(head, 100, 8) ?? 0) & 0o7777,
      uid: idOf('uid', pax, numberIn(head, 108, 8), text),
      gid: idOf('gid', pax, numberIn(head, 116, 8), text),
      mtime: timeOf(pax.get('mtime')) ?? numberIn(head, 136, 12),
      linkName: nameOf(pax.get('linkpath') ?? this.#longLink ?? textIn(head, 157, 100)),
      major: numberIn(head, 329, 8) ?? 0,
      minor: numberIn(head, 337, 8) ?? 0,
      xattrs: xattrsOf(pax),
    });
    if (this.#pax.size > 0) this.#pax = new Map();
    this.#longName = undefined;
    this.#longLink = undefined;
    this.#extendedBytes = 0;
    this.#follow('content', sizeBytes);
  }

  #follow(state: 'extended' | 'content', sizeBytes: number): void {
    this.#state = state;
    this.#leftBytes = sizeBytes;
    this.#paddingBytes = (block - (sizeBytes % block)) % block;
    if (sizeBytes === 0) this.#complete();
  }

  /** All of an entry, or of an extended header, has come. */
  #complete(): void {
    const wasContent = this.#state === 'content';
    this.#state = this.#paddingBytes === 0 ? 'header' : 'padding';
    if (wasContent) {
      this.#sink.end();
      return;
    }
    const { type, pieces } = this.#extended;
    const bytes = Buffer.concat(pieces);
    this.#extended = { type: '', pieces: [], sizeBytes: 0 };
    if (type === 'L') this.#longName = upToNul(bytes);
    else if (type === 'K') this.#longLink = upToNul(bytes);
    else readPax(bytes, type === 'g' ? this.#global : this.#pax);
    if (type === 'g' && this.#global.size > globalMax) throw new Error('the layer has too many global headers');
  }

  #paxOf(): ReadonlyMap<string, Buffer> {
    if (this.#global.size === 0) return this.#pax;
    return new Map([...this.#global, ...this.#pax]);
  }
}

const globalMax = 1_000;
const noPax: ReadonlyMap<string, Buffer> = new Map();
const noXattrs: ReadonlyMap<string, Buffer> = new Map();

/** The sum of all bytes, its own field counted as spaces; some tars of old summed them as signed. */
function isSummed(head: Buffer): boolean {
  const wanted = numberIn(head, 148, 8);
  let sum = 8 * 32;
  let signed = sum;
  for (let at = 0; at < block; at++) {
    if (at === 148) at = 156;
    const byte = head[at] as number;
    sum += byte;
    signed += byte > 127 ? byte - 256 : byte;
  }
  return wanted === sum || wanted === signed;
}

function nameIn(head: Buffer): Buffer {
  const name = textIn(head, 0, 100);
  // GNU's own format ("ustar " and a space) has times where POSIX has the first part of a name.
  const isPosix = head.toString('latin1', 257, 263) === 'ustar\0';
  const prefix = isPosix ? textIn(head, 345, 155) : noBytes;
  return prefix.length === 0 ? name : Buffer.concat([prefix, Buffer.from('/'), name]);
}

const noBytes = Buffer.alloc(0);

function textIn(head: Buffer, at: number, length: number): Buffer {
  return upToNul(head.subarray(at, at + length));
}

function upToNul(bytes: Buffer): Buffer {
  const end = bytes.indexOf(0);
  return end < 0 ? bytes : bytes.subarray(0, end);
}

/** An octal number, or one of GNU's binary ones; undefined when it is none, or beyond what numbers here can be. */
function numberIn(head: Buffer, at: number, length: number): number | undefined {
  const first = head[at] as number;
  if (first === 0x80 || first === 0xff) {
    // Two's complement, the first byte but a mark.
    let value = first === 0xff ? -1 : 0;
    for (let i = at + 1; i < at + length; i++) value = value * 256 + (head[i] as number);
    return Number.isSafeInteger(value) ? value : undefined;
  }
  const text = head.toString('latin1', at, at + length).replace(/^[ \0]+|[ \0].*$/gs, '');
  if (text === '') return 0;
  return /^[0-7]+$/.test(text) ? Number.parseInt(text, 8) : undefined;
}

function sizeIn(head: Buffer, pax: ReadonlyMap<string, Buffer>, name: Buffer): number {
  const said = pax.get('size')?.toString('latin1');
  const size = said === undefined ? numberIn(head, 124, 12) : /^\d{1,16}$/.test(said) ? Number(said) : undefined;
  if (size !== undefined && size >= 0 && Number.isSafeInteger(size)) {
    // Links and devices have none, whatever it says: GNU tar writes that of a hard link's file.
    return '123456'.includes(String.fromCharCode(head[156] ?? 0)) ? 0 : size;
  }
  const shown = said ?? head.toString('latin1', 124, 136);
  throw new Error(
    `the entry ${JSON.stringify(nameOf(name).slice(0, 200))} has the size ${JSON.stringify(shown)}: it is refused`,
  );
}

/** As large as the kernel's: the last one means nobody. */
const idMax = 2 ** 32 - 2;

function idOf(which: 'uid' | 'gid', pax: ReadonlyMap<string, Buffer>, inHead: number | undefined, name: string) {
  const said = pax.get(which)?.toString('latin1');
  const id = said === undefined ? inHead : /^\d{1,10}$/.test(said) ? Number(said) : undefined;
  if (id !== undefined && id >= 0 && id <= idMax) return id;
  throw new Error(
    `the entry ${JSON.stringify(name.slice(0, 200))} has the ${which} ${said ?? inHead}: must be 0 to ${idMax}`,
  );
}

function timeOf(said: Buffer | undefined): number | undefined {
  const text = said?.toString('latin1') ?? '';
  return /^-?\d{1,15}(\.\d+)?$/.test(text) ? Number(text) : undefined;
}

const xattrPrefix = 'SCHILY.xattr.';

function xattrsOf(pax: ReadonlyMap<string, Buffer>): ReadonlyMap<string, Buffer> {
  let found: Map<string, Buffer> | undefined;
  for (const [key, value] of pax) {
    if (!key.startsWith(xattrPrefix)) continue;
    found ??= new Map();
    found.set(key.slice(xattrPrefix.length), value);
  }
  return found ?? noXattrs;
}

/** Records `LENGTH KEY=VALUE\n`, whose length counts all of it; values are bytes. An empty one takes the key away. */
function readPax(bytes: Buffer, into: Map<string, Buffer>): void {
  for (let at = 0; at < bytes.length && bytes[at] !== 0; ) {
    const space = bytes.indexOf(0x20, at);
    const digits = space < 0 ? '' : bytes.toString('latin1', at, Math.min(space, at + 10));
    const end = /^\d+$/.test(digits) ? at + Number(digits) : 0;
    const equals = bytes.indexOf(0x3d, space);
    if (end <= equals || end > bytes.length || equals < 0 || bytes[end - 1] !== 0x0a) {
      throw new Error('the layer has an extended header that is not valid');
    }
    const key = bytes.toString('utf8', space + 1, equals);
    const value = bytes.subarray(equals + 1, end - 1);
    if (value.length === 0 && !key.startsWith(xattrPrefix)) into.delete(key);
    else into.set(key, value);
    at = end;
  }
}
