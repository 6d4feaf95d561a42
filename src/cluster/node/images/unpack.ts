import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { LayerWriter, type Unpacked } from './layer-writer.ts';
import { TarReader } from './tar-reader.ts';

export interface UnpackOptions {
  /** The layer's blob, its digest verified already. */
  blobPath: string;
  mediaType: string;
  /** The digest of the uncompressed tar that the image's configuration promises (`rootfs.diff_ids`). */
  diffId: string | undefined;
  /** An empty folder. */
  target: string;
  maxBytes: number;
  maxEntries: number;
  /** See LayerWriter; whether we are root unless given. */
  isExact?: boolean;
}

/** Unpacks one layer into a folder of its own, as LayerWriter says. Blocks on the disk: call it in a worker. */
export async function unpackLayer(options: UnpackOptions): Promise<Unpacked> {
  const { blobPath, mediaType, diffId, target, maxBytes, maxEntries } = options;
  const isExact = options.isExact ?? process.geteuid?.() === 0;
  const writer = new LayerWriter({ target, maxBytes, maxEntries, isExact });
  const reader = new TarReader(writer);
  const hash = createHash('sha256');
  let unpackedBytes = 0;
  try {
    for await (const chunk of decompressed(blobPath, mediaType) as AsyncIterable<Buffer>) {
      unpackedBytes += chunk.length;
      if (unpackedBytes > maxBytes * 2 + maxBytesBetween) {
        throw new Error(`the layer is larger than ${maxBytes * 2 + maxBytesBetween} bytes when decompressed`);
      }
      hash.update(chunk);
      reader.push(chunk);
    }
    reader.end();
  } finally {
    writer.close();
  }
  const actual = `sha256:${hash.digest('hex')}`;
  if (diffId !== undefined && diffId !== actual) {
    throw new Error(`the layer's content is ${actual}, but the image's configuration promises ${diffId}`);
  }
  return writer.finish();
}

/** Headers, padding and zeros between the entries count as well: a few bytes can become any number of them. */
const maxBytesBetween = 64 * 1024 * 1024;

/** At once: 16 KiB, as zlib has it, cost more to hand over than to decompress. */
const chunkSize = 256 * 1024;

function decompressed(blobPath: string, mediaType: string): Readable {
  const file = createReadStream(blobPath, { highWaterMark: chunkSize });
  if (mediaType.endsWith('.tar')) return file;
  const unzip = mediaType.endsWith('gzip')
    ? createGunzip({ chunkSize })
    : mediaType.endsWith('zstd')
      ? createZstdDecompress({ chunkSize })
      : undefined;
  if (unzip) {
    file.on('error', (error) => unzip.destroy(error));
    return file.pipe(unzip);
  }
  file.destroy();
  throw new Error(`layers of type ${mediaType} are not known: tar, tar+gzip and tar+zstd are`);
}
