import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { promisify } from 'node:util';
import { constants, createGzip, createZstdCompress, gzip } from 'node:zlib';
import { type BlobSource, type Descriptor, digestOf, mediaTypes } from '../../registry/index.ts';
import { compareBytes, type SourceFolder } from '../source/source.ts';
import { type ListedFile, type TarEntry, tarOf } from './tar.ts';

/** A layer of an image: what is pushed, and the digest of its uncompressed bytes for the image's configuration. */
export interface Layer {
  descriptor: Descriptor;
  diffId: string;
  /** What made it, for the image's history. */
  createdBy: string;
  content: BlobSource['content'];
  /** A repository that has it already. */
  mountFrom?: string | undefined;
}

/** Pinned, with the library that is Node's own: there is no canonical gzip, and equal trees must give equal digests. */
const gzipOptions = { level: 6 };
const zstdOptions = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };
const gzipAsync = promisify(gzip);

/** So many bytes are packed in memory: a file takes longer than they do. */
const inMemoryMaxBytes = 1024 * 1024;

/** A layer of these entries, which goes through the new file at `path` when they are large. */
export function layerBy(entries: readonly TarEntry[], path: string, createdBy: string): Promise<Layer> {
  const sizeBytes = entries.reduce((sum, entry) => sum + (entry.type === 'file' ? sizeOf(entry.content) : 0), 0);
  return sizeBytes <= inMemoryMaxBytes ? layerOf(entries, createdBy) : layerInFile(entries, path, createdBy);
}

const sizeOf = (content: Buffer | ListedFile) => (Buffer.isBuffer(content) ? content.length : content.sizeBytes);

/** A layer of few bytes, in memory. */
export async function layerOf(entries: Iterable<TarEntry>, createdBy: string): Promise<Layer> {
  const tar = Buffer.concat([...tarOf(entries)]);
  const content = anonymous(await gzipAsync(tar, gzipOptions));
  const descriptor = { mediaType: mediaTypes.layerGzip, digest: digestOf(content), size: content.length };
  return { descriptor, diffId: digestOf(tar), createdBy, content };
}

/** How a layer's bytes are packed: gzip is what every client reads; zstd is quicker by far. */
export type Compression = 'gzip' | 'zstd';

/** The same, for entries of any size, by way of a new file at `path`: what is packed goes through memory in pieces. */
export async function layerInFile(
  entries: Iterable<TarEntry>,
  path: string,
  createdBy: string,
  compression: Compression = 'gzip',
): Promise<Layer> {
  const diff = createHash('sha256');
  const compressed = createHash('sha256');
  const zip = compression === 'gzip' ? createGzip(gzipOptions) : createZstdCompress(zstdOptions);
  const file = await open(path, 'wx');
  let size = 0;
  const written = (async () => {
    for await (const chunk of zip as AsyncIterable<Buffer>) {
      if (size === 0 && compression === 'gzip') anonymous(chunk);
      compressed.update(chunk);
      size += chunk.length;
      await file.writeFile(chunk);
    }
  })();
  const feed = async () => {
    for (const chunk of inBatches(tarOf(entries))) {
      diff.update(chunk);
      if (!zip.write(chunk)) await once(zip, 'drain');
    }
    zip.end();
  };
  try {
    await Promise.all([feed(), written]);
  } finally {
    zip.destroy();
    await file.close();
  }
  const mediaType = compression === 'gzip' ? mediaTypes.layerGzip : mediaTypes.layerZstd;
  const descriptor = { mediaType, digest: `sha256:${compressed.digest('hex')}`, size };
  return { descriptor, diffId: `sha256:${diff.digest('hex')}`, createdBy, content: () => createReadStream(path) };
}

/** The entries of a layer that puts the source at `root` (`app`), folders first, in the order of their bytes. */
export function sourceEntries(source: SourceFolder, root: string): TarEntry[] {
  const entries = new Map<string, TarEntry>();
  const addFolders = (path: string): void => {
    if (path === '.' || entries.has(path)) return;
    addFolders(posix.dirname(path));
    entries.set(path, { type: 'folder', path });
  };
  addFolders(root);
  for (const [inner, entry] of source.entries) {
    const path = `${root}/${inner}`;
    addFolders(posix.dirname(path));
    if (entry.type === 'symlink') entries.set(path, { path, ...entry });
    else {
      const { type, sizeBytes, isExecutable } = entry;
      entries.set(path, { type, path, content: { file: join(source.root, inner), sizeBytes }, isExecutable });
    }
  }
  return [...entries.values()].sort((a, b) => compareBytes(a.path, b.path));
}

const batchBytes = 256 * 1024;

/** Small pieces as one: compressing each by itself takes a turn of the event loop each. */
function* inBatches(chunks: Iterable<Buffer>): Generator<Buffer, void> {
  let batch: Buffer[] = [];
  let sizeBytes = 0;
  for (const chunk of chunks) {
    batch.push(chunk);
    sizeBytes += chunk.length;
    if (sizeBytes < batchBytes) continue;
    yield Buffer.concat(batch);
    batch = [];
    sizeBytes = 0;
  }
  if (batch.length > 0) yield Buffer.concat(batch);
}

/**
 * Takes the operating system out of a gzip header (RFC 1952 §2.3.1: 255 is unknown), so that all give the same bytes.
 */
function anonymous(zipped: Buffer): Buffer {
  zipped[9] = 255;
  return zipped;
}
