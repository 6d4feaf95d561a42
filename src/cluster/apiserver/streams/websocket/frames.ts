/** The frames of a WebSocket (RFC 6455, 5.2), as a server sees them: those of clients are masked, its own are not. */

export const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** Closing codes (RFC 6455, 7.4.1). */
export const closeCodes = { normal: 1000, protocolError: 1002, tooBig: 1009, failed: 1011 } as const;

export class WebSocketError extends Error {
  readonly closeCode: number;
  constructor(closeCode: number, message: string) {
    super(message);
    this.name = 'WebSocketError';
    this.closeCode = closeCode;
  }
}

/** Of a message, a part that lies within one frame: messages are passed on as they come, whatever their size. */
export interface Piece {
  type: 'piece';
  isText: boolean;
  /** Of its message. */
  isFirst: boolean;
  isLast: boolean;
  bytes: Buffer;
}

export interface ControlFrame {
  type: 'close' | 'ping' | 'pong';
  bytes: Buffer;
}

interface FrameHead {
  opcode: number;
  isFinal: boolean;
  mask: Buffer;
  length: number;
  headBytes: number;
}

const controlTypes: Record<number, ControlFrame['type']> = { 8: 'close', 9: 'ping', 10: 'pong' };
const controlBytesMax = 125;

/** Reads what a client sends. Throws WebSocketError for what is no WebSocket; ends when the input does. */
export async function* readFrames(input: AsyncIterable<Buffer>): AsyncGenerator<Piece | ControlFrame> {
  let bytes: Buffer = Buffer.alloc(0);
  let frame: FrameHead | undefined;
  /** Of the current frame's payload. */
  let readBytes = 0;
  /** Between the frames of one message. */
  let message: { isText: boolean } | undefined;
  for await (const chunk of input) {
    bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk]);
    for (;;) {
      if (!frame) {
        frame = readHead(bytes);
        if (!frame) break;
        bytes = bytes.subarray(frame.headBytes);
        readBytes = 0;
        const { opcode } = frame;
        if (opcode === opcodes.continuation ? !message : message && opcode < opcodes.close) {
          throw new WebSocketError(closeCodes.protocolError, 'a message was continued that had not begun, or ended');
        }
      }
      const { opcode, length, mask, isFinal }: FrameHead = frame;
      const control = controlTypes[opcode];
      if (control && bytes.length < length) break;
      const taken = bytes.subarray(0, length - readBytes);
      if (taken.length === 0 && length > 0) break;
      bytes = bytes.subarray(taken.length);
      unmask(taken, mask, readBytes);
      readBytes += taken.length;
      const isWhole = readBytes === length;
      if (isWhole) frame = undefined;
      if (control) {
        yield { type: control, bytes: taken };
        continue;
      }
      const isFirst = message === undefined;
      message ??= { isText: opcode === opcodes.text };
      const { isText } = message;
      const isLast = isWhole && isFinal;
      if (isLast) message = undefined;
      yield { type: 'piece', isText, isFirst, isLast, bytes: taken };
    }
  }
}

/** Undefined while it is not all there. */
function readHead(bytes: Buffer): FrameHead | undefined {
  const first = bytes[0];
  const second = bytes[1];
  if (first === undefined || second === undefined) return undefined;
  const opcode = first & 0x0f;
  const isFinal = (first & 0x80) !== 0;
  const fail = (why: string) => new WebSocketError(closeCodes.protocolError, why);
  if ((first & 0x70) !== 0) throw fail('reserved bits of a frame are set: no extension was agreed on');
  if (opcode > 2 && !controlTypes[opcode]) throw fail(`a frame has the unknown opcode ${opcode}`);
  if ((second & 0x80) === 0) throw fail('a frame of the client is not masked');
  const short = second & 0x7f;
  if (controlTypes[opcode] && (!isFinal || short > controlBytesMax)) {
    throw fail(`a control frame is in parts, or longer than ${controlBytesMax} bytes`);
  }
  const lengthBytes = short === 127 ? 8 : short === 126 ? 2 : 0;
  const headBytes = 2 + lengthBytes + 4;
  if (bytes.length < headBytes) return undefined;
  const length =
    lengthBytes === 8 ? Number(bytes.readBigUInt64BE(2)) : lengthBytes === 2 ? bytes.readUInt16BE(2) : short;
  if (!Number.isSafeInteger(length)) throw new WebSocketError(closeCodes.tooBig, `a frame has ${length} bytes`);
  return { opcode, isFinal, length, headBytes, mask: Buffer.from(bytes.subarray(headBytes - 4, headBytes)) };
}

/** In place: `at` is where in the payload the bytes stand. Four at a time: gigabytes go through here. */
function unmask(bytes: Buffer, mask: Buffer, at: number): void {
  const aligned = Math.min((4 - (bytes.byteOffset & 3)) & 3, bytes.length);
  const count = (bytes.length - aligned) >> 2;
  const unmaskBytes = (from: number, to: number) => {
    for (let i = from; i < to; i++) bytes[i] = (bytes[i] ?? 0) ^ (mask[(at + i) & 3] ?? 0);
  };
  unmaskBytes(0, aligned);
  if (count > 0) {
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset + aligned, count);
    const four = Uint8Array.from([0, 1, 2, 3], (i) => mask[(at + aligned + i) & 3] ?? 0);
    const [word = 0] = new Uint32Array(four.buffer);
    for (let i = 0; i < count; i++) words[i] = (words[i] ?? 0) ^ word;
  }
  unmaskBytes(aligned + 4 * count, bytes.length);
}

/** The head of a frame of the server. */
export function frameHead(opcode: number, length: number): Buffer {
  const first = 0x80 | opcode;
  if (length < 126) return Buffer.from([first, length]);
  if (length < 65536) return Buffer.from([first, 126, length >> 8, length & 255]);
  const head = Buffer.alloc(10);
  head[0] = first;
  head[1] = 127;
  head.writeBigUInt64BE(BigInt(length), 2);
  return head;
}
