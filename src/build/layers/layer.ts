import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream, createWriteStream } from 'node:fs';
import { posix } from 'node:path';
import { promisify } from 'node:util';
import { createGzip, gzip } from 'node:zlib';
import { type BlobSource, type Descriptor, digestOf, mediaTypes } from '../../registry/index.ts';
import { compareBytes, type SourceTree } from '../source/tree.ts';
import { type TarEntry, tarEnd, tarEntry } from './tar.ts';

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
const gzipAsync = promisify(gzip);

/** A layer of few bytes, in memory. */
export async function layerOf(entries: Iterable<TarEntry>, createdBy: string): Promise<Layer> {
  const tar = Buffer.concat([...Array.from(entries, tarEntry), tarEnd]);
  const content = anonymous(await gzipAsync(tar, gzipOptions));
  const descriptor = { mediaType: mediaTypes.layerGzip, digest: digestOf(content), size: content.length };
  return { descriptor, diffId: digestOf(tar), createdBy, content };
}

/** The same for entries that do not fit in memory, by way of a new file at `path`. */
export async function layerInFile(entries: AsyncIterable<TarEntry>, path: string, createdBy: string): Promise<Layer> {
  const diff = createHash('sha256');
  const compressed = createHash('sha256');
  const zip = createGzip(gzipOptions);
  const file = createWriteStream(path, { flags: 'wx' });
  let size = 0;
  const written = (async () => {
    for await (const chunk of zip as AsyncIterable<Buffer>) {
      if (size === 0) anonymous(chunk);
      compressed.update(chunk);
      size += chunk.length;
      if (!file.write(chunk)) await once(file, 'drain');
    }
    file.end();
    await once(file, 'finish');
  })();
  const feed = async () => {
    for await (const entry of entries) await put(tarEntry(entry));
    await put(tarEnd);
    zip.end();
  };
  const put = async (chunk: Buffer) => {
    diff.update(chunk);
    if (!zip.write(chunk)) await once(zip, 'drain');
  };
  try {
    await Promise.all([feed(), written]);
  } finally {
    zip.destroy();
    file.destroy();
  }
  const descriptor = { mediaType: mediaTypes.layerGzip, digest: `sha256:${compressed.digest('hex')}`, size };
  return { descriptor, diffId: `sha256:${diff.digest('hex')}`, createdBy, content: () => createReadStream(path) };
}

/** The entries of a layer that puts the tree at `root` (`app`), folders first, in the order of their bytes. */
export function treeEntries(tree: SourceTree, root: string): TarEntry[] {
  const entries = new Map<string, TarEntry>();
  const addFolders = (path: string): void => {
    if (path === '.' || entries.has(path)) return;
    addFolders(posix.dirname(path));
    entries.set(path, { type: 'folder', path });
  };
  addFolders(root);
  for (const [inner, entry] of tree) {
    const path = `${root}/${inner}`;
    addFolders(posix.dirname(path));
    entries.set(path, { path, ...entry });
  }
  return [...entries.values()].sort((a, b) => compareBytes(a.path, b.path));
}

/**
 * Takes the operating system out of a gzip header (RFC 1952 §2.3.1: 255 is unknown), so that all give the same bytes.
 */
function anonymous(zipped: Buffer): Buffer {
  zipped[9] = 255;
  return zipped;
}
