import type { Socket } from 'node:net';
import type { BodySink } from '../../sides.ts';

/** How a connection begins that carries frames. */
export const preface = 'FRAMES/1\n';
/** What may be under way of each stream, in each direction, before the receiver grants more. */
export const windowBytes = 64 * 1024;

/** A line of JSON, followed by `bytes` bytes. */
export interface Frame {
  stream: number;
  type: 'head' | 'data' | 'end' | 'reset' | 'credit';
  head?: FrameHead;
  /** Of `data` that follow; of `credit` that are granted. */
  bytes?: number;
  trailers?: string;
}

/** Of a request, or of a reply (status below 200: an interim one). */
export interface FrameHead {
  method?: string;
  target?: string;
  host?: string;
  status?: number;
  reason?: string;
  bodyBytes: number;
  fields: string;
}

/** What the owner of a link does with a stream's frames; `data` are valid during the call. */
export interface FrameHandler {
  onHead(head: FrameHead): void;
  onData(data: Buffer): void;
  onEnd(trailers: string): void;
  onReset(): void;
  /** More can be written. */
  onWritable(): void;
}

/**
 * One connection with many streams, each with a window of its own in each direction: a toy of what HTTP/2 does. Both
 * ends of it are the same.
 */
export class FrameLink {
  readonly socket: Socket;
  readonly streams = new Map<number, FrameStream>();
  readonly #onStream: (stream: FrameStream) => FrameHandler | undefined;
  #input: Buffer = Buffer.alloc(0);

  /** `onStream` is told of streams that the other end opens. */
  constructor(socket: Socket, onStream: (stream: FrameStream) => FrameHandler | undefined) {
    this.socket = socket;
    this.#onStream = onStream;
  }

  get heldBytes(): number {
    return [...this.streams.values()].reduce((sum, { heldBytes }) => sum + heldBytes, this.socket.writableLength);
  }

  open(id: number, handler: FrameHandler): FrameStream {
    const stream = new FrameStream(this, id);
    stream.handler = handler;
    this.streams.set(id, stream);
    return stream;
  }

  send(frame: Frame, data?: Buffer): void {
    this.socket.write(`${JSON.stringify(frame)}\n`);
    if (data !== undefined) this.socket.write(data);
  }

  /** Throws on what is no frame. */
  read(bytes: Buffer): void {
    this.#input = Buffer.concat([this.#input, bytes]);
    for (;;) {
      const lineEnd = this.#input.indexOf(0x0a);
      if (lineEnd === -1) return;
      const frame: Frame = JSON.parse(this.#input.toString('latin1', 0, lineEnd));
      const dataBytes = frame.type === 'data' ? (frame.bytes ?? 0) : 0;
      const end = lineEnd + 1 + dataBytes;
      if (this.#input.length < end) return;
      const data = this.#input.subarray(lineEnd + 1, end);
      this.#input = this.#input.subarray(end);
      this.#onFrame(frame, data);
    }
  }

  onDrain(): void {
    for (const stream of [...this.streams.values()]) stream.handler?.onWritable();
  }

  #onFrame(frame: Frame, data: Buffer): void {
    let stream = this.streams.get(frame.stream);
    if (stream === undefined && frame.type === 'head') {
      stream = new FrameStream(this, frame.stream);
      this.streams.set(frame.stream, stream);
      stream.handler = this.#onStream(stream);
    }
    // What is still under way of a stream that has ended.
    if (stream?.handler === undefined) return;
    if (frame.type === 'head' && frame.head !== undefined) stream.handler.onHead(frame.head);
    else if (frame.type === 'data') stream.receive(data);
    else if (frame.type === 'end') stream.handler.onEnd(frame.trailers ?? '');
    else if (frame.type === 'credit') stream.addCredit(frame.bytes ?? 0);
    else if (frame.type === 'reset') {
      this.streams.delete(frame.stream);
      stream.handler.onReset();
    }
  }
}

/** One stream's sending direction, and what was received and not granted yet. */
export class FrameStream implements BodySink {
  readonly id: number;
  handler: FrameHandler | undefined;
  heldBytes = 0;
  readonly #link: FrameLink;
  #held: Buffer[] = [];
  #credit = windowBytes;
  #trailers: string | undefined;
  #ungranted = 0;
  #isClosing = false;

  constructor(link: FrameLink, id: number) {
    this.#link = link;
    this.id = id;
  }

  get isFull(): boolean {
    return this.#held.length > 0 || this.#credit === 0 || this.#link.socket.writableNeedDrain;
  }

  sendHead(head: FrameHead): void {
    this.#link.send({ stream: this.id, type: 'head', head });
  }

  write(bytes: Buffer): void {
    if (bytes.length === 0) return;
    this.#held.push(Buffer.from(bytes));
    this.heldBytes += bytes.length;
    this.#flush();
  }

  end(trailers: string): void {
    this.#trailers = trailers;
    this.#flush();
  }

  cork(): void {
    this.#link.socket.cork();
  }

  uncork(): void {
    this.#link.socket.uncork();
  }

  addCredit(bytes: number): void {
    this.#credit += bytes;
    this.#flush();
    if (!this.isFull) this.handler?.onWritable();
  }

  receive(data: Buffer): void {
    this.#ungranted += data.length;
    if (this.#ungranted > windowBytes) throw new Error('more was sent than granted');
    this.handler?.onData(data);
  }

  /** All that was received has found its place. */
  grant(): void {
    if (this.#ungranted > 0) this.#link.send({ stream: this.id, type: 'credit', bytes: this.#ungranted });
    this.#ungranted = 0;
  }

  /** Ends with the end of what it sends. */
  close(): void {
    this.#isClosing = true;
    if (this.heldBytes === 0 && this.#trailers === undefined) this.#link.streams.delete(this.id);
  }

  /** Says and hears no more. */
  reset(): void {
    if (this.#link.streams.delete(this.id)) this.#link.send({ stream: this.id, type: 'reset' });
  }

  #flush(): void {
    while (this.#credit > 0) {
      const first = this.#held.shift();
      if (first === undefined) break;
      const data = first.subarray(0, this.#credit);
      if (data.length < first.length) this.#held.unshift(first.subarray(data.length));
      this.#credit -= data.length;
      this.heldBytes -= data.length;
      this.#link.send({ stream: this.id, type: 'data', bytes: data.length }, data);
    }
    if (this.#trailers === undefined || this.#held.length > 0) return;
    this.#link.send({ stream: this.id, type: 'end', trailers: this.#trailers });
    this.#trailers = undefined;
    if (this.#isClosing) this.#link.streams.delete(this.id);
  }
}
