import { createReadStream } from 'node:fs';

/**
 * All of a file, or of standard input (`-`), as long as it holds at most `bytesMax`: a device or a pipe may never end.
 * `what` names the input in the error.
 */
export async function readInput(file: string, what: string, bytesMax: number): Promise<Buffer> {
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
