import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { BuildFailure } from '../failure.ts';
import { chunksOf } from './read-file.ts';

/** What is built: a folder on disk, of which only the list is in memory. Plain data; nobody else changes the folder. */
export interface SourceFolder {
  root: string;
  /** All files and links by their path from the root (`src/index.ts`), in the order of bytes. Folders are implied. */
  entries: ReadonlyMap<string, SourceEntry>;
}

export type SourceEntry = SourceFile | { type: 'symlink'; target: string };
export interface SourceFile {
  type: 'file';
  sizeBytes: number;
  isExecutable: boolean;
}

/** A source beyond these is refused before it fills the disk of the platform. */
export interface SourceLimits {
  filesMax: number;
  fileBytesMax: number;
  totalBytesMax: number;
}

export const defaultSourceLimits: SourceLimits = {
  filesMax: 50_000,
  fileBytesMax: 64 * 1024 * 1024,
  totalBytesMax: 256 * 1024 * 1024,
};

/** Collects the entries of a SourceFolder, refusing what would leave it or is too large. */
export class SourceList {
  readonly limits: SourceLimits;
  readonly #entries = new Map<string, SourceEntry>();
  /** A path in each folder. */
  readonly #folders = new Map<string, string>();
  #totalBytes = 0;

  constructor(limits: SourceLimits = defaultSourceLimits) {
    this.limits = limits;
  }

  /** Asks before the content is read; `sizeBytes` is what the file will have. */
  reserve(path: string, sizeBytes: number): void {
    const { filesMax, fileBytesMax, totalBytesMax } = this.limits;
    if (sizeBytes > fileBytesMax) {
      throw tooLarge(`${path} has ${sizeBytes} bytes: a file of a source may have ${fileBytesMax}`);
    }
    this.#totalBytes += sizeBytes;
    if (this.#totalBytes > totalBytesMax) throw tooLarge(`the source has more than ${totalBytesMax} bytes at ${path}`);
    if (this.#entries.size >= filesMax) this.tooMany();
  }

  /** Refuses a source whose list of files, before any was added, is too long. */
  tooMany(): never {
    throw tooLarge(`the source has more than ${this.limits.filesMax} files`);
  }

  addFile(path: string, sizeBytes: number, isExecutable: boolean): void {
    this.#add(path, { type: 'file', sizeBytes, isExecutable });
  }

  addSymlink(path: string, target: string): void {
    const resolved = posix.normalize(posix.join(posix.dirname(checkedPath(path)), target));
    if (target.startsWith('/') || resolved === '..' || resolved.startsWith('../')) {
      throw new BuildFailure('SourceInvalid', `${path} is a symbolic link out of the source, to ${target}: remove it`);
    }
    if (target === '' || target.includes('\0') || Buffer.byteLength(target) > pathBytesMax) {
      throw new BuildFailure('SourceInvalid', `${path} is a symbolic link to nothing that could be a path: remove it`);
    }
    this.#add(path, { type: 'symlink', target });
  }

  entries(): SourceFolder['entries'] {
    return new Map([...this.#entries].sort(([a], [b]) => compareBytes(a, b)));
  }

  /** Fails when a file stands where another path needs a folder. */
  #add(path: string, entry: SourceEntry): void {
    this.reserve(path, 0);
    const inside = this.#folders.get(checkedPath(path));
    if (inside !== undefined) throw liesUnder(inside, path);
    this.#entries.set(path, entry);
    for (let folder = posix.dirname(path); folder !== '.' && !this.#folders.has(folder); ) {
      if (this.#entries.has(folder)) throw liesUnder(path, folder);
      this.#folders.set(folder, path);
      folder = posix.dirname(folder);
    }
  }
}

/** The order of UTF-8 bytes, whatever the locale. */
export function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** Text of a file of the source; undefined when there is none. */
export function textOf({ root, entries }: SourceFolder, path: string): string | undefined {
  return entries.get(path)?.type === 'file' ? readFileSync(join(root, path), 'utf8') : undefined;
}

const unbounded = Number.POSITIVE_INFINITY;
/** Of what was within its limits as a whole. */
const noLimits: SourceLimits = { filesMax: unbounded, fileBytesMax: unbounded, totalBytesMax: unbounded };

/** The part of the source under `subPath`, as a source of its own. */
export function subFolder(source: SourceFolder, subPath: string | undefined): SourceFolder {
  const prefix = posix.normalize(`${subPath ?? '.'}/`).replace(/^\.\//, '');
  if (prefix === '') return source;
  const list = new SourceList(noLimits);
  for (const [path, entry] of source.entries) {
    if (!path.startsWith(prefix)) continue;
    const inner = path.slice(prefix.length);
    if (entry.type === 'file') list.addFile(inner, entry.sizeBytes, entry.isExecutable);
    else list.addSymlink(inner, entry.target);
  }
  const entries = list.entries();
  if (entries.size === 0) {
    throw new BuildFailure('SubPathNotFound', `the source has no folder ${subPath}: check subPath`);
  }
  return { root: join(source.root, prefix), entries };
}

/** Identifies the source's whole content: paths, modes, bytes. */
export function sourceDigest({ root, entries }: SourceFolder): string {
  const hash = createHash('sha256');
  for (const [path, entry] of entries) {
    const content = entry.type === 'file' ? fileDigest(join(root, path), entry.sizeBytes) : entry.target;
    hash.update(JSON.stringify([path, entry.type, entry.type === 'file' && entry.isExecutable, content]));
  }
  return `sha256:${hash.digest('hex')}`;
}

function fileDigest(path: string, sizeBytes: number): string {
  const hash = createHash('sha256');
  const { chunks, close } = chunksOf(path, sizeBytes);
  try {
    for (const chunk of chunks) hash.update(chunk);
  } finally {
    close();
  }
  return hash.digest('hex');
}

/** What Linux takes of a path, and far more folders than any source has within one another. */
const pathBytesMax = 4000;
const depthMax = 128;

function checkedPath(path: string): string {
  const bytes = Buffer.byteLength(path);
  if (bytes > pathBytesMax) {
    throw new BuildFailure('SourceInvalid', `the source has a path of ${bytes} bytes: ${path.slice(0, 60)}…`);
  }
  const segments = path.split('/');
  if (segments.length > depthMax) {
    const message = `the source has ${segments.length - 1} folders within one another: ${path.slice(0, 60)}…`;
    throw new BuildFailure('SourceInvalid', message);
  }
  const isInside = segments.every((s) => s !== '' && s !== '.' && s !== '..') && !path.includes('\0');
  // Some file systems do not tell .GIT from .git.
  if (isInside && segments[0]?.toLowerCase() !== '.git') return path;
  throw new BuildFailure('SourceInvalid', `the source has an entry with the path ${JSON.stringify(path)}: refused`);
}

function liesUnder(path: string, folder: string): BuildFailure {
  return new BuildFailure('SourceInvalid', `${path} lies under ${folder}, which is not a folder`);
}

function tooLarge(message: string): BuildFailure {
  return new BuildFailure('SourceTooLarge', `${message}; leave out what the build does not need (.dockerignore)`);
}
