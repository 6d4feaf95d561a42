import { createHash } from 'node:crypto';
import {
  closeSync,
  createReadStream,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  symlinkSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { type Extract, extract, type Header } from 'tar-stream';
import { containedPath, leadsOut, shown } from './contained-path.ts';
import { removeTree } from './remove-tree.ts';

/** The year 4000: later times are left out, as some file systems know none. */
const timeMaxMs = 64_060_588_800_000;

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
}

export interface Unpacked {
  whiteouts: string[];
  opaques: string[];
  sizeBytes: number;
}

/**
 * Unpacks one layer (OCI image specification, "Image Layer Filesystem Changeset") into a folder of its own. Nothing is
 * written outside of it: a name that climbs out, or that leads through a link, is refused. Owners, devices and setuid
 * bits are left out: an agent that is not root could not make them. Blocks on the disk: call it in a worker.
 */
export async function unpackLayer(options: UnpackOptions): Promise<Unpacked> {
  const { blobPath, mediaType, diffId, target, maxBytes, maxEntries } = options;
  const found: Unpacked = { whiteouts: [], opaques: [], sizeBytes: 0 };
  const folders = new SafeFolders(target);
  const times: [path: string, mtime: Date][] = [];
  const hash = createHash('sha256');
  const tar = extract();
  let entries = 0;

  const unpacking = (async () => {
    for await (const { header, content } of entriesOf(tar)) {
      if (++entries > maxEntries) throw new Error(`the layer has more than ${maxEntries} entries`);
      // tar-stream takes a size that it cannot read for null, and would wait for its end for ever.
      if (!Number.isSafeInteger(header.size) || header.size < 0) {
        throw new Error(`the entry ${shown(header.name)} has the size ${header.size}: it is refused`);
      }
      found.sizeBytes += header.size;
      if (found.sizeBytes > maxBytes) throw new Error(`the layer is larger than ${maxBytes} bytes when unpacked`);
      await unpackEntry(header, content, { target, folders, found, times });
    }
  })();
  const bounded = atMost(maxBytes * 2 + maxBytesBetween, decompressed(blobPath, mediaType));
  const feeding = feed(tar, bounded, hash);
  // Waits for both, so that nothing writes any more. A failure of one ends the other: the first listed is the cause.
  for (const result of await Promise.allSettled([unpacking, feeding])) {
    if (result.status === 'rejected') throw result.reason;
  }

  // Folders last: writing into one changes its time.
  for (const [path, mtime] of times.reverse()) lutimesSync(path, mtime, mtime);
  const actual = `sha256:${hash.digest('hex')}`;
  if (diffId !== undefined && diffId !== actual) {
    throw new Error(`the layer's content is ${actual}, but the image's configuration promises ${diffId}`);
  }
  return found;
}

interface Unpacking {
  target: string;
  folders: SafeFolders;
  found: Unpacked;
  times: [path: string, mtime: Date][];
}

async function unpackEntry(
  header: Header,
  content: AsyncIterable<Buffer>,
  { target, folders, found, times }: Unpacking,
): Promise<void> {
  const name = containedPath(header.name);
  if (name === '') return; // The root itself: it exists.
  const base = name.slice(name.lastIndexOf('/') + 1);
  const folder = name.slice(0, Math.max(0, name.length - base.length - 1));
  if (base === '.wh..wh..opq') {
    found.opaques.push(folder);
    return;
  }
  if (base.startsWith('.wh..wh.')) return; // What AUFS kept for itself.
  if (base.startsWith('.wh.')) {
    const hidden = base.slice('.wh.'.length);
    if (hidden === '' || hidden === '.' || hidden === '..') throw leadsOut(header.name);
    found.whiteouts.push(folder === '' ? hidden : `${folder}/${hidden}`);
    return;
  }
  if (header.type === null || Object.keys(header.pax ?? {}).some((key) => key.startsWith('GNU.sparse.'))) {
    throw new Error(`the entry ${shown(header.name)} is of a type that is not supported (a sparse file, say)`);
  }

  const path = join(target, name);
  folders.ensure(folder, header.name);
  // The owner must be able to read, copy and remove what it unpacked.
  const mode = header.mode & 0o777;
  switch (header.type) {
    case 'directory':
      folders.ensure(name, header.name, mode | 0o700);
      break;
    case 'symlink':
      removeTree(path);
      symlinkSync(linkOf(header), path);
      break;
    case 'link': {
      const from = containedPath(linkOf(header));
      if (from === name) return; // To itself.
      folders.check(dirname(from) === '.' ? '' : dirname(from), header.name);
      if (!lstatSync(join(target, from), { throwIfNoEntry: false })?.isFile()) {
        throw new Error(`hard link ${header.name}: ${header.linkname} is no file of the same layer`);
      }
      removeTree(path);
      linkSync(join(target, from), path);
      break;
    }
    case 'file':
    case 'contiguous-file': {
      removeTree(path);
      const fd = openSync(path, 'wx', mode | 0o400);
      try {
        for await (const chunk of content) writeWhole(fd, chunk);
      } finally {
        closeSync(fd);
      }
      break;
    }
    default:
      return; // Devices and pipes: see above.
  }
  folders.forget(name, header.type);
  if (header.type !== 'link' && Math.abs(header.mtime?.getTime() ?? Number.NaN) < timeMaxMs) {
    times.push([path, header.mtime as Date]);
  }
}

function linkOf({ name, linkname }: Header): string {
  if (linkname) return linkname;
  throw new Error(`the link ${shown(name)} leads nowhere`);
}

/** Where names that differ in case are the same, one must not hide another from the checks below. */
const isCaseSensitive = process.platform === 'linux';
const keyOf = (folder: string) => (isCaseSensitive ? folder : folder.normalize('NFC').toLowerCase());

/** Makes the folders of entries, each once, and makes sure that none of them is a link. */
class SafeFolders {
  readonly #target: string;
  readonly #known = new Set<string>(['']);

  constructor(target: string) {
    this.#target = target;
  }

  ensure(folder: string, entry: string, mode = 0o755): void {
    if (this.#known.has(keyOf(folder))) return;
    const cut = folder.lastIndexOf('/');
    this.ensure(cut < 0 ? '' : folder.slice(0, cut), entry);
    const path = join(this.#target, folder);
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (found?.isSymbolicLink()) {
      throw new Error(`the entry ${JSON.stringify(entry)} leads through the link ${folder}: it is refused`);
    }
    if (found && !found.isDirectory()) unlinkSync(path);
    if (!found?.isDirectory()) mkdirSync(path, { mode });
    this.#known.add(keyOf(folder));
  }

  /** Like `ensure`, but the folder must be there. */
  check(folder: string, entry: string): void {
    if (this.#known.has(keyOf(folder))) return;
    if (!lstatSync(join(this.#target, folder), { throwIfNoEntry: false })?.isDirectory()) {
      throw new Error(`the entry ${JSON.stringify(entry)} refers to ${folder}, which is no folder of the layer`);
    }
    this.ensure(folder, entry);
  }

  /** An entry took the place of a folder: look again before writing below it. */
  forget(name: string, type: string | null | undefined): void {
    const key = keyOf(name);
    // What was no folder had none in it: mostly there is nothing to look for.
    if (type === 'directory' || !this.#known.has(key)) return;
    for (const folder of this.#known) {
      if (folder === key || folder.startsWith(`${key}/`)) this.#known.delete(folder);
    }
  }
}

/** The entries with their content, which must be read before the next entry comes (what is not read is skipped). */
async function* entriesOf(tar: Extract): AsyncGenerator<{ header: Header; content: AsyncIterable<Buffer> }> {
  for await (const entry of tar) {
    yield { header: entry.header, content: entry as AsyncIterable<Buffer> };
    entry.resume();
  }
}

/** Writes `content` into `tar` as fast as it takes it; ends without a word when the reader has given up. */
async function feed(tar: Extract, content: AsyncIterable<Buffer>, hash: ReturnType<typeof createHash>) {
  let isClosed = false;
  let wake = () => {};
  tar.on('close', () => {
    isClosed = true;
    wake();
  });
  tar.on('drain', () => wake());
  try {
    for await (const chunk of content) {
      if (isClosed) return;
      hash.update(chunk);
      const mayWrite = new Promise<void>((resolve) => {
        wake = resolve;
      });
      if (!tar.write(chunk)) await mayWrite;
    }
    tar.end(undefined);
  } catch (error) {
    tar.destroy(error as Error);
    throw error;
  }
}

/** Headers, padding and zeros between the entries count as well: a few bytes can become any number of them. */
const maxBytesBetween = 64 * 1024 * 1024;

async function* atMost(maxBytes: number, chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw new Error(`the layer is larger than ${maxBytes} bytes when decompressed`);
    yield chunk;
  }
}

function decompressed(blobPath: string, mediaType: string): Readable {
  const file = createReadStream(blobPath);
  if (mediaType.endsWith('.tar')) return file;
  const unzip = mediaType.endsWith('gzip')
    ? createGunzip()
    : mediaType.endsWith('zstd')
      ? createZstdDecompress()
      : undefined;
  if (unzip) {
    file.on('error', (error) => unzip.destroy(error));
    return file.pipe(unzip);
  }
  file.destroy();
  throw new Error(`layers of type ${mediaType} are not known: tar, tar+gzip and tar+zstd are`);
}

function writeWhole(fd: number, chunk: Buffer): void {
  for (let written = 0; written < chunk.length; ) written += writeSync(fd, chunk, written);
}
