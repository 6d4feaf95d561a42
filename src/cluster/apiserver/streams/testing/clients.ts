/** Clients of the streams, as small as they can be: they say byte by byte what a test wants said. */
import { once } from 'node:events';
import { type Duplex, duplexPair } from 'node:stream';
import { createDeflate, type Deflate } from 'node:zlib';
import { until } from '../../../../lib/testing/until.ts';
import type { Upgrade } from '../../strategy.ts';
import { dictionary } from '../spdy/dictionary.ts';
import { dataHead, type Frame, frames, readFrames } from '../spdy/frames.ts';

export interface RawClient {
  socket: Duplex;
  /** What the server is given. */
  upgrade: Upgrade;
  /** All that the server has said. */
  said(): Buffer;
  /** Resolves when the server has ended the connection. */
  ended: Promise<void>;
}

/** A client that has sent its request for an upgrade. */
export function rawClient(headers: Record<string, string>, query = ''): RawClient {
  const [socket, served] = duplexPair();
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.on('error', () => {});
  socket.on('end', () => socket.end());
  const ended = Promise.race([once(socket, 'end'), once(socket, 'close')]).then(() => {});
  const upgrade = { query: new URLSearchParams(query), headers, socket: served, head: Buffer.alloc(0) };
  return { socket, upgrade, ended, said: () => Buffer.concat(chunks) };
}

export const webSocketHeaders = (protocol: string): Record<string, string> => ({
  upgrade: 'websocket',
  connection: 'Upgrade',
  'sec-websocket-version': '13',
  'sec-websocket-key': Buffer.alloc(16).toString('base64'),
  ...(protocol === '' ? {} : { 'sec-websocket-protocol': protocol }),
});

export interface FrameOptions {
  isFinal?: boolean;
  mask?: Buffer;
}

/** A frame of a WebSocket's client, masked. */
export function clientFrame(opcode: number, payload: Buffer, options: FrameOptions = {}): Buffer {
  const { isFinal = true, mask = Buffer.from([1, 2, 3, 4]) } = options;
  const { length } = payload;
  const head = Buffer.alloc(length < 126 ? 2 : length < 65536 ? 4 : 10);
  head[0] = (isFinal ? 0x80 : 0) | opcode;
  if (length < 126) head[1] = 0x80 | length;
  else if (length < 65536) {
    head[1] = 0x80 | 126;
    head.writeUInt16BE(length, 2);
  } else {
    head[1] = 0x80 | 127;
    head.writeBigUInt64BE(BigInt(length), 2);
  }
  const masked = Buffer.from(payload.map((byte, i) => byte ^ (mask[i & 3] ?? 0)));
  return Buffer.concat([head, mask, masked]);
}

/** What a client of channels does. */
export class ChannelTestClient {
  readonly raw: RawClient;
  constructor(protocol: string, query = '') {
    this.raw = rawClient(webSocketHeaders(protocol), query);
  }

  send(channel: number, text: string | Buffer): void {
    this.raw.socket.write(clientFrame(2, Buffer.concat([Buffer.from([channel]), Buffer.from(text)])));
  }

  /** The messages of the server so far, by channel; `closed` is the code with which it has closed. */
  received(): { channels: Map<number, string>; texts: string[]; closed: number | undefined } {
    let bytes = this.raw.said();
    bytes = bytes.subarray(bytes.indexOf('\r\n\r\n') + 4);
    const channels = new Map<number, string>();
    const texts: string[] = [];
    let closed: number | undefined;
    while (bytes.length >= 2) {
      const short = (bytes[1] ?? 0) & 127;
      const headBytes = short === 127 ? 10 : short === 126 ? 4 : 2;
      if (bytes.length < headBytes) break;
      const length = short === 127 ? Number(bytes.readBigUInt64BE(2)) : short === 126 ? bytes.readUInt16BE(2) : short;
      if (bytes.length < headBytes + length) break;
      const payload = bytes.subarray(headBytes, headBytes + length);
      const opcode = (bytes[0] ?? 0) & 15;
      bytes = bytes.subarray(headBytes + length);
      if (opcode === 8) closed = payload.readUInt16BE(0);
      if (opcode === 1) texts.push(payload.toString());
      if (opcode !== 2) continue;
      const channel = payload[0] ?? -1;
      channels.set(channel, (channels.get(channel) ?? '') + payload.toString('latin1', 1));
    }
    return { channels, texts, closed };
  }

  async until(what: string, isSo: (received: ReturnType<ChannelTestClient['received']>) => boolean): Promise<void> {
    await until(() => isSo(this.received()), what);
  }
}

/** A client that speaks SPDY as client-go does: its headers are compressed with the dictionary. */
export class SpdyTestClient {
  readonly raw: RawClient;
  readonly frames: Frame[] = [];
  readonly #deflate: Deflate = createDeflate({ dictionary });
  #deflated: Buffer[] = [];

  constructor(protocol: string, query = '') {
    const headers = { upgrade: 'SPDY/3.1', connection: 'Upgrade', 'x-stream-protocol-version': protocol };
    this.raw = rawClient(headers, query);
    this.#deflate.on('data', (chunk: Buffer) => this.#deflated.push(chunk));
  }

  /** Reads what the server says, once it has answered the request. */
  async follow(): Promise<void> {
    const { raw } = this;
    await until(() => raw.said().includes('\r\n\r\n'), 'the server has answered');
    const first = raw.said();
    const rest = first.subarray(first.indexOf('\r\n\r\n') + 4);
    const input = (async function* () {
      if (rest.length > 0) yield rest;
      yield* raw.socket as AsyncIterable<Buffer>;
    })();
    raw.socket.removeAllListeners('data');
    const read = async () => {
      for await (const frame of readFrames(input)) this.frames.push(frame);
    };
    read().catch(() => {}); // It ends as it ends.
  }

  async block(headers: Record<string, string>): Promise<Buffer> {
    const text = (value: string) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(value.length);
      return Buffer.concat([length, Buffer.from(value)]);
    };
    const count = Buffer.alloc(4);
    count.writeUInt32BE(Object.keys(headers).length);
    this.#deflated = [];
    this.#deflate.write(Buffer.concat([count, ...Object.entries(headers).flatMap(([n, v]) => [text(n), text(v)])]));
    await new Promise<void>((resolve) => this.#deflate.flush(() => resolve()));
    return Buffer.concat(this.#deflated);
  }

  async open(id: number, headers: Record<string, string>): Promise<void> {
    this.raw.socket.write(frames.synStream(id, await this.block(headers)));
  }

  send(id: number, data: string | Buffer, isLast = false): void {
    const bytes = Buffer.from(data);
    this.raw.socket.write(Buffer.concat([dataHead(id, bytes.length, isLast), bytes]));
  }

  /** What the server has sent on a stream. */
  text(id: number): string {
    return this.frames.map((f) => (f.type === 'data' && f.streamId === id ? f.bytes.toString('latin1') : '')).join('');
  }

  has(type: Frame['type'], id?: number): boolean {
    return this.frames.some((f) => f.type === type && (id === undefined || ('streamId' in f && f.streamId === id)));
  }

  hasEnded(id: number): boolean {
    return this.frames.some((frame) => frame.type === 'data' && frame.streamId === id && frame.isLast);
  }

  close(): void {
    this.#deflate.destroy();
    this.raw.socket.destroy();
  }
}
