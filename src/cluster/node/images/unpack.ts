import { createHash } from 'node:crypto';
import { pipeline, Readable } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { LayerWriter, type Unpacked } from './layer-writer.ts';
import { TarReader } from './tar-reader.ts';

export interface UnpackOptions {
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

/**
 * Unpacks one layer, as it comes, into a folder of its own, as LayerWriter says. Whoever sends it checks the digest of
 * `content`: until then, what is there is anybody's. Blocks on the disk: call it in a worker.
 */
export async function unpackLayer(content: AsyncIterable<Buffer>, options: UnpackOptions): Promise<Unpacked> {
  const { mediaType, diffId, target, maxBytes, maxEntries } = options;
  const isExact = options.isExact ?? process.geteuid?.() === 0;
  const writer = new LayerWriter({ target, maxBytes, maxEntries, isExact });
  const reader = new TarReader(writer);
  const hash = createHash('sha256');
  let unpackedBytes = 0;
  try {
    for await (const chunk of decompressed(content, mediaType)) {
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

const gzipMagic = Buffer.from([0x1f, 0x8b]);
const zstdMagic = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);

/** As its first bytes say: some registries hold layers whose type says otherwise, and all other clients unpack them. */
async function* decompressed(content: AsyncIterable<Buffer>, mediaType: string): AsyncGenerator<Buffer> {
  if (!/\.tar$|[.+](gzip|gz|zstd)$/.test(mediaType)) {
    throw new Error(`layers of type ${mediaType} are not known: tar, tar+gzip and tar+zstd are`);
  }
  const chunks = content[Symbol.asyncIterator]();
  let first: Buffer = Buffer.alloc(0);
  while (first.length < zstdMagic.length) {
    const next = await chunks.next();
    if (next.done) break;
    first = first.length === 0 ? next.value : Buffer.concat([first, next.value]);
  }
  async function* all(): AsyncGenerator<Buffer> {
    yield first;
    yield* { [Symbol.asyncIterator]: () => chunks };
  }
  const starts = (magic: Buffer) => first.subarray(0, magic.length).equals(magic);
  const unzip = starts(gzipMagic)
    ? createGunzip({ chunkSize })
    : starts(zstdMagic)
      ? createZstdDecompress({ chunkSize })
      : undefined;
  if (!unzip) yield* all();
  else {
    const failed = () => undefined; // Whoever reads it is told.
    yield* pipeline(Readable.from(all(), { objectMode: false }), unzip, failed) as AsyncIterable<Buffer>;
  }
}
