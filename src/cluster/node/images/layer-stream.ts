/** How the bytes of a layer get from the thread that downloads it to the one that unpacks it. */
import type { Readable } from 'node:stream';
import type { MessagePort } from 'node:worker_threads';

/** Under way between the two: more is not read from the network. */
const windowBytes = 4 * 1024 * 1024;

type Piece = Uint8Array<ArrayBuffer> | { end: true } | { error: string };

/**
 * Hands what `content` gives to `port`, as fast as it is taken there, and lets `onChunk` see it. Resolves when all is
 * handed over, or when the other side wants no more; rejects when `content` or `onChunk` fails, which the other side
 * hears of too.
 */
export async function sendContent(content: Readable, port: MessagePort, onChunk: (chunk: Buffer) => void) {
  let openBytes = 0;
  let isClosed = false;
  let wake = () => {};
  port.on('message', (takenBytes: number) => {
    openBytes -= takenBytes;
    wake();
  });
  port.on('close', () => {
    isClosed = true;
    wake();
  });
  const send = (piece: Piece, transfer: ArrayBuffer[] = []) => port.postMessage(piece, transfer);
  try {
    for await (const chunk of content as AsyncIterable<Buffer>) {
      if (isClosed) return;
      onChunk(chunk);
      // A copy that goes over as it is: those of the network share their memory with others.
      const copy = new Uint8Array(chunk.length);
      copy.set(chunk);
      openBytes += chunk.length;
      send(copy, [copy.buffer]);
      while (openBytes > windowBytes && !isClosed) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
    send({ end: true });
  } catch (error) {
    send({ error: error instanceof Error ? error.message : String(error) });
    throw error;
  }
}

/** What the other side sends, in the thread that unpacks; fails when the other side did. */
export async function* receivedContent(port: MessagePort): AsyncGenerator<Buffer> {
  const pieces: Piece[] = [];
  let isClosed = false;
  let wake = () => {};
  port.on('message', (piece: Piece) => {
    pieces.push(piece);
    wake();
  });
  port.on('close', () => {
    isClosed = true;
    wake();
  });
  try {
    for (;;) {
      const piece = pieces.shift();
      if (piece === undefined) {
        if (isClosed) throw new Error('the download was given up');
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      } else if (piece instanceof Uint8Array) {
        yield Buffer.from(piece.buffer);
        port.postMessage(piece.byteLength);
      } else if ('error' in piece) throw new Error(piece.error);
      else return;
    }
  } finally {
    port.close();
  }
}
