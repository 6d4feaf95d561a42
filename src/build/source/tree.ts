import { createHash } from 'node:crypto';
import { posix } from 'node:path';
import { BuildFailure } from '../failure.ts';

/** What is built: all files, in memory, by their path from the root (`src/index.ts`). Folders are implied. */
export type SourceTree = ReadonlyMap<string, TreeEntry>;

export type TreeEntry = { type: 'file'; content: Buffer; isExecutable: boolean } | { type: 'symlink'; target: string };

/** A source beyond these is refused before it fills the memory of the platform. */
export interface TreeLimits {
  filesMax: number;
  fileBytesMax: number;
  totalBytesMax: number;
}

export const defaultTreeLimits: TreeLimits = {
  filesMax: 50_000,
  fileBytesMax: 64 * 1024 * 1024,
  totalBytesMax: 256 * 1024 * 1024,
};

/** Collects a SourceTree, refusing what would leave it or is too large. */
export class TreeBuilder {
  readonly #entries = new Map<string, TreeEntry>();
  readonly #limits: TreeLimits;
  #totalBytes = 0;

  constructor(limits: TreeLimits = defaultTreeLimits) {
    this.#limits = limits;
  }

  /** Asks before the content is read; `sizeBytes` is what the file will have. */
  reserve(path: string, sizeBytes: number): void {
    const { filesMax, fileBytesMax, totalBytesMax } = this.#limits;
    if (sizeBytes > fileBytesMax) {
      throw tooLarge(`${path} has ${sizeBytes} bytes: a file of a source may have ${fileBytesMax}`);
    }
    this.#totalBytes += sizeBytes;
    if (this.#totalBytes > totalBytesMax) throw tooLarge(`the source has more than ${totalBytesMax} bytes at ${path}`);
    if (this.#entries.size >= filesMax) this.tooMany();
  }

  /** Refuses a source whose list of files, before any was added, is too long. */
  tooMany(): never {
    throw tooLarge(`the source has more than ${this.#limits.filesMax} files`);
  }

  /** How many files and links there may be. */
  get filesMax(): number {
    return this.#limits.filesMax;
  }

  /** How many bytes all files may have. */
  get totalBytesMax(): number {
    return this.#limits.totalBytesMax;
  }

  addFile(path: string, content: Buffer, isExecutable: boolean): void {
    this.reserve(path, 0);
    this.#entries.set(checkedPath(path), { type: 'file', content, isExecutable });
  }

  addSymlink(path: string, target: string): void {
    this.reserve(path, 0);
    const resolved = posix.normalize(posix.join(posix.dirname(checkedPath(path)), target));
    if (target.startsWith('/') || resolved === '..' || resolved.startsWith('../')) {
      throw new BuildFailure('SourceInvalid', `${path} is a symbolic link out of the source, to ${target}: remove it`);
    }
    this.#entries.set(path, { type: 'symlink', target });
  }

  /** The tree; fails when a file stands where another path needs a folder. */
  finish(): SourceTree {
    const folders = new Set<string>();
    for (const path of this.#entries.keys()) {
      for (let folder = posix.dirname(path); folder !== '.' && !folders.has(folder); folder = posix.dirname(folder)) {
        if (this.#entries.has(folder)) {
          throw new BuildFailure('SourceInvalid', `${path} lies under ${folder}, which is not a folder`);
        }
        folders.add(folder);
      }
    }
    return new Map([...this.#entries].sort(([a], [b]) => compareBytes(a, b)));
  }
}

/** The order of UTF-8 bytes, whatever the locale. */
export function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** Text of a file of the tree; undefined when there is none. */
export function textOf(tree: SourceTree, path: string): string | undefined {
  const entry = tree.get(path);
  return entry?.type === 'file' ? entry.content.toString('utf8') : undefined;
}

/** The part of the tree under `subPath`, as a tree of its own. */
export function subTree(tree: SourceTree, subPath: string | undefined): SourceTree {
  const prefix = posix.normalize(`${subPath ?? '.'}/`).replace(/^\.\//, '');
  if (prefix === '') return tree;
  const builder = new TreeBuilder();
  for (const [path, entry] of tree) {
    if (!path.startsWith(prefix)) continue;
    const inner = path.slice(prefix.length);
    if (entry.type === 'file') builder.addFile(inner, entry.content, entry.isExecutable);
    else builder.addSymlink(inner, entry.target);
  }
  const found = builder.finish();
  if (found.size === 0) throw new BuildFailure('SubPathNotFound', `the source has no folder ${subPath}: check subPath`);
  return found;
}

/** Identifies the tree's whole content: paths, modes, bytes. */
export function treeDigest(tree: SourceTree): string {
  const hash = createHash('sha256');
  for (const [path, entry] of tree) {
    const content = entry.type === 'file' ? createHash('sha256').update(entry.content).digest('hex') : entry.target;
    hash.update(JSON.stringify([path, entry.type, entry.type === 'file' && entry.isExecutable, content]));
  }
  return `sha256:${hash.digest('hex')}`;
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

function tooLarge(message: string): BuildFailure {
  return new BuildFailure('SourceTooLarge', `${message}; leave out what the build does not need (.dockerignore)`);
}
