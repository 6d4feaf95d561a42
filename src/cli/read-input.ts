import { accessSync, constants, createReadStream } from 'node:fs';
import { resolve } from 'node:path';
import { messageOf } from '../lib/errors.ts';

/**
 * All of a file, or of standard input (`-`), as long as it holds at most `bytesMax`: a device or a pipe may never end.
 * `what` names the input in the error.
 */
export async function readInput(file: string, what: string, bytesMax: number): Promise<Buffer> {
  if (file !== '-') checkIsThere(file, what);
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of file === '-' ? process.stdin : createReadStream(file)) {
    const bytes = chunk as Buffer;
    sizeBytes += bytes.length;
    if (sizeBytes > bytesMax) throw new Error(`${what} is larger than ${bytesMax / 1024 ** 2} MiB: give less`);
    chunks.push(bytes);
  }
  return Buffer.concat(chunks);
}

/** Throws in words when a file or folder that somebody named is not there or may not be read. */
export function checkIsThere(path: string, what: string): void {
  try {
    accessSync(path, constants.R_OK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') throw new Error(`${what}: there is no file ${resolve(path)}`);
    throw new Error(`${what}: ${path} cannot be read: ${messageOf(error)}`);
  }
}
