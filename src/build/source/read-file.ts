import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';

const chunkBytes = 256 * 1024;

/** An open file. */
export interface Chunks {
  sizeBytes: number;
  chunks: Iterable<Buffer>;
  /** In the end, however it came. */
  close(): void;
}

/**
 * The file's bytes, in pieces: those that it had when it was listed, or fewer when it is shorter by now. One that
 * others go on writing has no end to wait for. Links are not followed, pipes not waited for.
 */
export function chunksOf(path: string, listedBytes: number): Chunks {
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  const close = () => closeSync(file);
  try {
    const stat = fstatSync(file);
    if (!stat.isFile()) throw new Error(`${path} is no file any more`);
    const sizeBytes = Math.min(stat.size, listedBytes);
    if (sizeBytes > chunkBytes) return { sizeBytes, chunks: inPieces(file, path, sizeBytes), close };
    const content = readUpTo(file, sizeBytes);
    return { sizeBytes: content.length, chunks: content.length > 0 ? [content] : [], close };
  } catch (error) {
    close();
    throw error;
  }
}

function readUpTo(file: number, sizeBytes: number): Buffer {
  const content = Buffer.allocUnsafe(sizeBytes);
  let length = 0;
  while (length < sizeBytes) {
    const read = readSync(file, content, length, sizeBytes - length, length);
    if (read === 0) break; // It is shorter by now.
    length += read;
  }
  return content.subarray(0, length);
}

function* inPieces(file: number, path: string, sizeBytes: number): Generator<Buffer, void> {
  for (let at = 0; at < sizeBytes; ) {
    const chunk = Buffer.allocUnsafe(Math.min(chunkBytes, sizeBytes - at));
    const read = readSync(file, chunk, 0, chunk.length, at);
    if (read === 0) throw new Error(`${path} became shorter while it was read: try again`);
    yield chunk.subarray(0, read);
    at += read;
  }
}
