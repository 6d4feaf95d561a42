/** The frames of SPDY/3.1 (draft-mbelshe-httpbis-spdy-00, section 2), as far as streams of Kubernetes use them. */

export type Frame =
  | { type: 'data'; streamId: number; bytes: Buffer; isLast: boolean }
  | { type: 'syn-stream'; streamId: number; isLast: boolean; block: Buffer }
  | { type: 'syn-reply'; streamId: number; isLast: boolean; block: Buffer }
  | { type: 'headers'; streamId: number; isLast: boolean; block: Buffer }
  | { type: 'rst-stream'; streamId: number; status: number }
  | { type: 'settings'; initialWindow: number | undefined }
  | { type: 'ping'; id: number }
  | { type: 'go-away' }
  | { type: 'window-update'; streamId: number; delta: number }
  | { type: 'unknown' };

/** Of RST_STREAM. */
export const resets = { protocolError: 1, invalidStream: 2, refusedStream: 3, cancel: 5, flowControlError: 7 } as const;

export class SpdyError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'SpdyError';
  }
}

const version = 3;
const types = { synStream: 1, synReply: 2, rstStream: 3, settings: 4, ping: 6, goAway: 7, headers: 8, windowUpdate: 9 };
const fin = 1;
const headBytes = 8;
/** Control frames are held as a whole: those of Kubernetes' clients have some hundred bytes. */
const controlBytesMax = 64 * 1024;
/** SETTINGS_INITIAL_WINDOW_SIZE. */
const initialWindowId = 7;

/** Reads what a peer sends; data comes in pieces as they are there. Throws SpdyError for what is no SPDY. */
export async function* readFrames(input: AsyncIterable<Buffer>): AsyncGenerator<Frame> {
  let bytes: Buffer = Buffer.alloc(0);
  let data: { streamId: number; leftBytes: number; isFin: boolean } | undefined;
  for await (const chunk of input) {
    bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk]);
    for (;;) {
      if (data) {
        const taken = bytes.subarray(0, data.leftBytes);
        if (taken.length === 0 && data.leftBytes > 0) break;
        bytes = bytes.subarray(taken.length);
        const leftBytes: number = data.leftBytes - taken.length;
        const { streamId, isFin }: { streamId: number; isFin: boolean } = data;
        data = leftBytes === 0 ? undefined : { streamId, isFin, leftBytes };
        yield { type: 'data', streamId, bytes: taken, isLast: leftBytes === 0 && isFin };
        continue;
      }
      if (bytes.length < headBytes) break;
      const flags = bytes.readUInt8(4);
      const length = bytes.readUIntBE(5, 3);
      if ((bytes.readUInt8(0) & 0x80) === 0) {
        data = { streamId: bytes.readUInt32BE(0), leftBytes: length, isFin: (flags & fin) !== 0 };
        bytes = bytes.subarray(headBytes);
        continue;
      }
      const spoken = bytes.readUInt16BE(0) & 0x7fff;
      if (spoken !== version)
        throw new SpdyError(`the peer speaks version ${spoken} of SPDY: only ${version} is known`);
      if (length > controlBytesMax) throw new SpdyError(`a control frame has ${length} bytes`);
      if (bytes.length < headBytes + length) break;
      const body = bytes.subarray(headBytes, headBytes + length);
      const type = bytes.readUInt16BE(2);
      bytes = bytes.subarray(headBytes + length);
      yield controlFrame(type, flags, body);
    }
  }
}

function controlFrame(type: number, flags: number, body: Buffer): Frame {
  const atLeast = (length: number) => {
    if (body.length < length) throw new SpdyError(`a control frame of type ${type} is too short: ${body.length} bytes`);
  };
  const idAt = (offset: number) => body.readUInt32BE(offset) & 0x7fffffff;
  const isLast = (flags & fin) !== 0;
  switch (type) {
    case types.synStream:
      atLeast(10);
      return { type: 'syn-stream', streamId: idAt(0), isLast, block: body.subarray(10) };
    case types.synReply:
      atLeast(4);
      return { type: 'syn-reply', streamId: idAt(0), isLast, block: body.subarray(4) };
    case types.headers:
      atLeast(4);
      return { type: 'headers', streamId: idAt(0), isLast, block: body.subarray(4) };
    case types.rstStream:
      atLeast(8);
      return { type: 'rst-stream', streamId: idAt(0), status: body.readUInt32BE(4) };
    case types.settings:
      return { type: 'settings', initialWindow: initialWindowOf(body) };
    case types.ping:
      atLeast(4);
      return { type: 'ping', id: body.readUInt32BE(0) };
    case types.goAway:
      return { type: 'go-away' };
    case types.windowUpdate:
      atLeast(8);
      return { type: 'window-update', streamId: idAt(0), delta: idAt(4) };
    default:
      return { type: 'unknown' };
  }
}

function initialWindowOf(body: Buffer): number | undefined {
  if (body.length < 4 || body.length !== 4 + 8 * body.readUInt32BE(0))
    throw new SpdyError('SETTINGS of a wrong length');
  for (let at = 4; at < body.length; at += 8) {
    if (body.readUIntBE(at + 1, 3) === initialWindowId) return body.readUInt32BE(at + 4) & 0x7fffffff;
  }
  return undefined;
}

export function dataHead(streamId: number, length: number, isLast: boolean): Buffer {
  const head = Buffer.alloc(headBytes);
  head.writeUInt32BE(streamId, 0);
  head.writeUInt8(isLast ? fin : 0, 4);
  head.writeUIntBE(length, 5, 3);
  return head;
}

function control(type: number, words: readonly number[], rest: Buffer = Buffer.alloc(0)): Buffer {
  const frame = Buffer.alloc(headBytes + 4 * words.length);
  frame.writeUInt16BE(0x8000 | version, 0);
  frame.writeUInt16BE(type, 2);
  frame.writeUIntBE(4 * words.length + rest.length, 5, 3);
  for (const [i, word] of words.entries()) frame.writeUInt32BE(word, headBytes + 4 * i);
  return Buffer.concat([frame, rest]);
}

export const frames = {
  synReply: (streamId: number, block: Buffer) => control(types.synReply, [streamId], block),
  rstStream: (streamId: number, status: number) => control(types.rstStream, [streamId, status]),
  ping: (id: number) => control(types.ping, [id]),
  goAway: (lastStreamId: number) => control(types.goAway, [lastStreamId, 0]),
  windowUpdate: (streamId: number, delta: number) => control(types.windowUpdate, [streamId, delta]),
  /** For clients, in tests. */
  synStream: (streamId: number, block: Buffer) =>
    control(types.synStream, [streamId, 0], Buffer.concat([Buffer.alloc(2), block])),
  settings: (initialWindow: number) => control(types.settings, [1, initialWindowId, initialWindow]),
};
