import { createHash } from 'node:crypto';
import {
  closeSync,
  createReadStream,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  rmSync,
  symlinkSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { type Extract, extract, type Header } from 'tar-stream';

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
      found.sizeBytes += header.size;
      if (found.sizeBytes > maxBytes) throw new Error(`the layer is larger than ${maxBytes} bytes when unpacked`);
      await unpackEntry(header, content, { target, folders, found, times });
    }
  })();
  const feeding = feed(tar, decompressed(blobPath, mediaType), hash);
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
  if (base.startsWith('.wh.')) {
    found.whiteouts.push(folder === '' ? base.slice(4) : `${folder}/${base.slice(4)}`);
    return;
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
      rmSync(path, { recursive: true, force: true });
      symlinkSync(header.linkname, path);
      break;
    case 'link': {
      const from = containedPath(header.linkname);
      folders.check(dirname(from) === '.' ? '' : dirname(from), header.name);
      if (!lstatSync(join(target, from), { throwIfNoEntry: false })?.isFile()) {
        throw new Error(`hard link ${header.name}: ${header.linkname} is no file of the same layer`);
      }
      rmSync(path, { recursive: true, force: true });
      linkSync(join(target, from), path);
      break;
    }
    case 'file':
    case 'contiguous-file': {
      rmSync(path, { recursive: true, force: true });
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
  if (header.mtime && header.type !== 'link') times.push([path, header.mtime]);
}

/** The name without leading `/` and `./`; '' is the root. Refuses what climbs out of it. */
export function containedPath(name: string): string {
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..') || name.includes('\0')) {
    throw new Error(`the entry ${JSON.stringify(name)} leads out of the layer: it is refused`);
  }
  return parts.join('/');
}

/** Makes the folders of entries, each once, and makes sure that none of them is a link. */
class SafeFolders {
  readonly #target: string;
  readonly #known = new Set<string>(['']);

  constructor(target: string) {
    this.#target = target;
  }

  ensure(folder: string, entry: string, mode = 0o755): void {
    if (this.#known.has(folder)) return;
    const cut = folder.lastIndexOf('/');
    this.ensure(cut < 0 ? '' : folder.slice(0, cut), entry);
    const path = join(this.#target, folder);
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (found?.isSymbolicLink()) {
      throw new Error(`the entry ${JSON.stringify(entry)} leads through the link ${folder}: it is refused`);
    }
    if (found && !found.isDirectory()) rmSync(path);
    if (!found?.isDirectory()) mkdirSync(path, { mode });
    this.#known.add(folder);
  }

  /** Like `ensure`, but the folder must be there. */
  check(folder: string, entry: string): void {
    if (this.#known.has(folder)) return;
    if (!lstatSync(join(this.#target, folder), { throwIfNoEntry: false })?.isDirectory()) {
      throw new Error(`the entry ${JSON.stringify(entry)} refers to ${folder}, which is no folder of the layer`);
    }
    this.ensure(folder, entry);
  }

  /** An entry took the place of a folder: look again before writing below it. */
  forget(name: string, type: string | null | undefined): void {
    if (type === 'directory') return;
    for (const folder of this.#known) {
      if (folder === name || folder.startsWith(`${name}/`)) this.#known.delete(folder);
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
