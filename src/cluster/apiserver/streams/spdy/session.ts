import { Duplex } from 'node:stream';
import type { Transport } from '../transport.ts';
import { dataHead, type Frame, frames, readFrames, resets, SpdyError } from './frames.ts';
import { EmptyHeaders, HeaderReader } from './header-blocks.ts';

/** Of one connection: who forwards a port opens two for each of its connections. */
const streamsMax = 1000;
/** What a stream holds that is not read yet, before the whole connection waits for its reader. */
const inboxBytes = 64 * 1024;
const dataBytesMax = 64 * 1024;
const windowMax = 0x7fffffff;

/** One stream of a session. Its end and its start are the two halves of the stream; destroying it resets it. */
export interface SpdyStream extends Duplex {
  readonly id: number;
  readonly headers: ReadonlyMap<string, string>;
}

/**
 * The server's side of a SPDY/3.1 session: the client makes streams, both sides write to them.
 *
 * Kubernetes' clients and servers send no WINDOW_UPDATE and keep to no windows, whatever the protocol says: what holds
 * either side back is the connection below. A peer that sends its window with SETTINGS is taken at its word.
 */
export class SpdySession {
  readonly transport: Transport;
  readonly #onStream: (stream: SpdyStream) => boolean;
  readonly #streams = new Map<number, Stream>();
  readonly #reader = new HeaderReader();
  readonly #empty = new EmptyHeaders();
  #lastStreamId = 0;
  #pingId = 0;
  /** Undefined: the peer keeps no windows. */
  #initialWindow: number | undefined;

  /** `onStream` is told of each new stream, and takes it, or does not. */
  constructor(transport: Transport, onStream: (stream: SpdyStream) => boolean) {
    this.transport = transport;
    this.#onStream = onStream;
    // A reader that does not read holds up the whole session, but not its end.
    transport.gone.addEventListener('abort', () => this.#loseAll(), { once: true });
  }

  /** Reads until the connection ends, or either side says that it does; rejects when it breaks. Once. */
  async serve(): Promise<void> {
    try {
      for await (const frame of readFrames(this.transport.input)) {
        if (frame.type === 'go-away') break;
        await this.#handle(frame);
      }
    } finally {
      this.#reader.close();
      this.#loseAll();
    }
  }

  /** Says that this side lives. */
  beat(): Promise<void> {
    this.#pingId = (this.#pingId + 2) & 0x7fffffff;
    return this.transport.send(frames.ping(this.#pingId));
  }

  /** Ends the connection when what was written is through. */
  end(): void {
    this.transport.send(frames.goAway(this.#lastStreamId)).catch(() => {}); // Gone is ended.
    this.transport.end();
  }

  async #handle(frame: Exclude<Frame, { type: 'go-away' }>): Promise<void> {
    switch (frame.type) {
      case 'syn-stream':
        return this.#open(frame.streamId, frame.isLast, await this.#reader.read(frame.block));
      case 'syn-reply':
      case 'headers':
        await this.#reader.read(frame.block); // What it says concerns nobody, but it is part of the zlib stream.
        return undefined;
      case 'data': {
        const stream = this.#streams.get(frame.streamId);
        if (!stream) return this.transport.send(frames.rstStream(frame.streamId, resets.invalidStream));
        this.transport.traffic++;
        await stream.receive(frame.bytes, frame.isLast);
        if (this.#initialWindow === undefined || frame.bytes.length === 0) return undefined;
        return this.transport.send(frames.windowUpdate(frame.streamId, frame.bytes.length));
      }
      case 'rst-stream':
        this.#streams.get(frame.streamId)?.lose();
        this.#streams.delete(frame.streamId);
        return undefined;
      case 'settings':
        return this.#resizeWindows(frame.initialWindow);
      case 'window-update':
        this.#streams.get(frame.streamId)?.widen(frame.delta);
        return undefined;
      case 'ping':
        // Those of the client have odd numbers; others answer ours.
        return frame.id % 2 === 1 ? this.transport.send(frames.ping(frame.id)) : undefined;
      case 'unknown':
        return undefined;
    }
  }

  async #open(id: number, isLast: boolean, headers: Map<string, string>): Promise<void> {
    if (id % 2 === 0 || id <= this.#lastStreamId) throw new SpdyError(`a stream was opened with the number ${id}`);
    this.#lastStreamId = id;
    const { transport } = this;
    const stream = new Stream({ id, headers, transport, window: this.#initialWindow, onEnd: () => this.#ended(id) });
    const isTaken = this.#streams.size < streamsMax && this.#onStream(stream);
    if (!isTaken) {
      stream.lose();
      return transport.send(frames.rstStream(id, resets.refusedStream));
    }
    this.#streams.set(id, stream);
    await transport.send(frames.synReply(id, this.#empty.next()));
    if (isLast) await stream.receive(Buffer.alloc(0), true);
  }

  #loseAll(): void {
    for (const stream of [...this.#streams.values()]) stream.lose();
    this.#streams.clear();
  }

  #ended(id: number): void {
    this.#streams.delete(id);
  }

  #resizeWindows(size: number | undefined): void {
    if (size === undefined) return;
    for (const stream of this.#streams.values()) stream.resizeWindow(size, this.#initialWindow);
    this.#initialWindow = size;
  }
}

interface StreamOptions {
  id: number;
  headers: Map<string, string>;
  transport: Transport;
  /** How much the peer takes before it says more; undefined: whatever the connection takes. */
  window: number | undefined;
  onEnd(): void;
}

class Stream extends Duplex implements SpdyStream {
  readonly id: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly #transport: Transport;
  readonly #onEnd: () => void;
  #window: number | undefined;
  #onWindow: (() => void) | undefined;
  #onRoom: (() => void) | undefined;
  #hasSentEnd = false;
  #hasReceivedEnd = false;
  #isLost = false;

  constructor({ id, headers, transport, window, onEnd }: StreamOptions) {
    super({ allowHalfOpen: true, readableHighWaterMark: inboxBytes, writableHighWaterMark: inboxBytes });
    this.id = id;
    this.headers = headers;
    this.#transport = transport;
    this.#window = window;
    this.#onEnd = onEnd;
    this.on('error', () => {}); // Whoever uses it sees its close.
  }

  /** The peer has sent this; resolves when there is room for more. What comes after its end is dropped. */
  async receive(bytes: Buffer, isLast: boolean): Promise<void> {
    if (this.destroyed || this.#hasReceivedEnd) return;
    const isFull = bytes.length > 0 && !this.push(bytes);
    if (isLast) {
      this.#hasReceivedEnd = true;
      this.push(null);
      if (this.#hasSentEnd) this.#onEnd();
    } else if (isFull) {
      await new Promise<void>((resolve) => {
        this.#onRoom = resolve;
      });
    }
  }

  /** The peer, or the connection, has given it up. */
  lose(): void {
    this.#isLost = true;
    this.destroy();
  }

  /** The peer has said how much it takes at first; before, it took `before`. */
  resizeWindow(size: number, before: number | undefined): void {
    if (this.#window === undefined || before === undefined) this.#window = size;
    else this.widen(size - before);
  }

  /** The peer takes so much more; of one that keeps no windows it means nothing. */
  widen(delta: number): void {
    if (this.#window === undefined) return;
    const window = this.#window + delta;
    if (window > windowMax) {
      this.#transport.send(frames.rstStream(this.id, resets.flowControlError)).catch(() => {}); // Gone is reset too.
      this.lose();
      this.#onEnd();
      return;
    }
    this.#window = window;
    this.#onWindow?.();
    this.#onWindow = undefined;
  }

  override _read(): void {
    this.#onRoom?.();
    this.#onRoom = undefined;
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#send(chunk).then(() => done(), done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#hasSentEnd = true;
    this.#transport.send(dataHead(this.id, 0, true)).then(() => done(), done);
    if (this.#hasReceivedEnd) this.#onEnd();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this._read();
    this.#onWindow?.();
    if (!this.#isLost && !(this.#hasSentEnd && this.#hasReceivedEnd)) {
      this.#transport.send(frames.rstStream(this.id, resets.cancel)).catch(() => {}); // Gone is reset too.
    }
    this.#onEnd();
    done(error);
  }

  async #send(chunk: Buffer): Promise<void> {
    for (let at = 0; at < chunk.length; ) {
      if (this.destroyed) throw new Error('the stream is gone');
      if (this.#window !== undefined && this.#window <= 0) {
        await new Promise<void>((resolve) => {
          this.#onWindow = resolve;
        });
        continue;
      }
      const part = chunk.subarray(at, at + Math.min(dataBytesMax, this.#window ?? dataBytesMax));
      at += part.length;
      if (this.#window !== undefined) this.#window -= part.length;
      this.#transport.traffic++;
      await this.#transport.send(dataHead(this.id, part.length, false), part);
    }
  }
}
