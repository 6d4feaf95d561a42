import { link, mkdir, readdir, readFile, stat, unlink, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { replaceFileAsync, syncFolderAsync } from '../../lib/durable.ts';
import { Mutexes } from '../../lib/mutexes.ts';
import { type Digest, parseDigest } from '../digest.ts';
import type { Descriptor } from '../manifest.ts';

/**
 * The registry's folder. A blob is one file with one name in `blobs/` and a hard link in each repository that has it,
 * so a repository never shows another's blobs, mounting is a link, and a blob with a single link is garbage.
 * Names that begin with `_` cannot be parts of a repository's name.
 *
 *   blobs/sha256/ab/abcdef…
 *   repositories/<name>/_blobs/sha256/<hex>        hard link
 *                      /_manifests/sha256/<hex>    the manifest's own bytes
 *                      /_tags/<tag>                a digest
 *                      /_referrers/<subject>/<digest>  the descriptor of a manifest that names the subject
 *                      /_uploads/<id>              what has come so far
 *
 * Every write goes to a new file, is synced, renamed or linked into place, and its folder is synced, before the promise
 * resolves: what was acknowledged survives a crash, and what was not leaves no half file under a real name.
 */
export class Storage {
  readonly #root: string;
  /**
   * Folders whose own names are on the disk. One that is merely there may have been made a moment ago by another
   * request, or by a process that was killed before it could sync the name.
   */
  readonly #durableFolders = new Set<string>();
  /** By repository and digest: a blob that is just pushed again, or asked for, is not swept away. */
  readonly #blobTurns = new Mutexes();

  constructor(root: string) {
    this.#root = root;
  }

  blobPath(name: string, { algorithm, hex }: Digest): string {
    return join(this.#repository(name), '_blobs', algorithm, hex);
  }

  uploadPath(name: string, id: string): string {
    return join(this.#repository(name), '_uploads', id);
  }

  /** Bytes in the blob; undefined when the repository does not have it. */
  async blobSize(name: string, digest: Digest): Promise<number | undefined> {
    return (await statIfThere(this.blobPath(name, digest)))?.size;
  }

  /** The same for a client that goes on to push what needs the blob: it counts as pushed now. */
  async blobSizeForPush(
    name: string,
    digest: Digest,
    freshSinceMs = Date.now() - freshMs,
  ): Promise<number | undefined> {
    return this.#blobTurns.hold(turnOf(name, digest), undefined, async () => {
      const path = this.blobPath(name, digest);
      const file = await statIfThere(path);
      if (file && file.ctimeMs < freshSinceMs) await touch(path);
      return file?.size;
    });
  }

  /**
   * Gives the repository the blob that the file at `path` holds, whose content was checked and synced; removes
   * `path`.
   */
  async commitBlob(name: string, digest: Digest, path: string): Promise<void> {
    const shared = this.#sharedPath(digest);
    await this.ensureFolder(dirname(shared));
    await linkIfAbsent(path, shared);
    await syncFolderAsync(dirname(shared));
    // One file for all repositories; unless the sweep took the shared name just now.
    await this.#linkBlob(name, digest, shared).catch((error: unknown) => {
      if (!isMissing(error)) throw error;
      return this.#linkBlob(name, digest, path);
    });
    await unlink(path);
  }

  /** Gives the repository a blob that another one (`from`; any, when it is undefined) has; false when there is none. */
  async mountBlob(name: string, digest: Digest, from: string | undefined): Promise<boolean> {
    const source = from === undefined ? this.#sharedPath(digest) : this.blobPath(from, digest);
    // Before the folder is made: a mount of nothing leaves nothing.
    if ((await statIfThere(source)) === undefined) return false;
    try {
      await this.#linkBlob(name, digest, source);
      return true;
    } catch (error) {
      if (isMissing(error)) return false;
      throw error;
    }
  }

  async deleteBlob(name: string, digest: Digest): Promise<boolean> {
    return this.#remove(this.blobPath(name, digest));
  }

  /** Deletes the blob unless it was pushed, mounted or asked for since `beforeMs`. */
  async deleteOldBlob(name: string, digest: Digest, beforeMs: number): Promise<void> {
    await this.#blobTurns.hold(turnOf(name, digest), undefined, async () => {
      const file = await statIfThere(this.blobPath(name, digest));
      if (file && file.ctimeMs < beforeMs) await this.deleteBlob(name, digest);
    });
  }

  /** What has come of uploads, in all repositories. */
  async *uploads(): AsyncIterable<{ name: string; id: string; sizeBytes: number; changedMs: number }> {
    for (const name of await this.repositories()) {
      for (const id of await namesIn(join(this.#repository(name), '_uploads'))) {
        const file = await statIfThere(this.uploadPath(name, id));
        if (file) yield { name, id, sizeBytes: file.size, changedMs: file.mtimeMs };
      }
    }
  }

  /** Makes the folder and those above it, and syncs their names: what is put into it then survives a power cut. */
  async ensureFolder(path: string): Promise<void> {
    const first = await mkdir(path, { recursive: true });
    if (first === undefined && this.#durableFolders.has(path)) return;
    const made: string[] = [];
    for (let folder = path; ; folder = dirname(folder)) {
      const isNew = first !== undefined && folder.length >= first.length;
      if (!isNew && this.#durableFolders.has(folder)) break;
      await syncFolderAsync(dirname(folder));
      made.push(folder);
      if (folder.length <= this.#root.length) break;
    }
    if (this.#durableFolders.size > durableFoldersMax) this.#durableFolders.clear();
    for (const folder of made) this.#durableFolders.add(folder);
  }

  async readManifest(name: string, digest: Digest): Promise<Buffer | undefined> {
    return readIfThere(this.#manifestPath(name, digest));
  }

  async hasManifest(name: string, digest: Digest): Promise<boolean> {
    return (await statIfThere(this.#manifestPath(name, digest))) !== undefined;
  }

  async writeManifest(name: string, digest: Digest, bytes: Buffer): Promise<void> {
    await this.#writeDurably(this.#manifestPath(name, digest), bytes);
  }

  /** Also removes the tags that point to it. */
  async deleteManifest(name: string, digest: Digest): Promise<boolean> {
    const text = `${digest.algorithm}:${digest.hex}`;
    for (const tag of await this.tags(name)) {
      if ((await this.readTag(name, tag)) === text) await this.deleteTag(name, tag);
    }
    return this.#remove(this.#manifestPath(name, digest));
  }

  /** The digest that the tag points to. */
  async readTag(name: string, tag: string): Promise<string | undefined> {
    return (await readIfThere(join(this.#repository(name), '_tags', tag)))?.toString('utf8');
  }

  async writeTag(name: string, tag: string, digest: string): Promise<void> {
    await this.#writeDurably(join(this.#repository(name), '_tags', tag), digest);
  }

  async deleteTag(name: string, tag: string): Promise<boolean> {
    return this.#remove(join(this.#repository(name), '_tags', tag));
  }

  /** All tags of the repository, in the order of their bytes. */
  async tags(name: string): Promise<string[]> {
    return (await namesIn(join(this.#repository(name), '_tags'))).filter((tag) => !tag.startsWith('.')).sort();
  }

  async addReferrer(name: string, subject: string, descriptor: Descriptor): Promise<void> {
    await this.#writeDurably(this.#referrerPath(name, subject, descriptor.digest), JSON.stringify(descriptor));
  }

  async removeReferrer(name: string, subject: string, digest: string): Promise<void> {
    await this.#remove(this.#referrerPath(name, subject, digest));
  }

  /** The descriptors that name the subject, in the order of their keys, from `first` on; those damaged are left out. */
  async *referrers(
    name: string,
    subject: string,
    first: string,
  ): AsyncIterable<{ key: string; descriptor: Descriptor; bytes: number }> {
    const folder = dirname(this.#referrerPath(name, subject, subject));
    const keys = (await namesIn(folder)).filter((key) => !key.startsWith('.') && key >= first).sort();
    for (const key of keys) {
      const text = await readIfThere(join(folder, key));
      const descriptor = text && descriptorOf(text);
      if (descriptor) yield { key, descriptor, bytes: text.length };
    }
  }

  /** Whether anything was ever pushed to the repository. */
  async hasRepository(name: string): Promise<boolean> {
    const inside = await namesIn(this.#repository(name));
    return inside.includes('_manifests') || inside.includes('_blobs');
  }

  /** The names of all repositories, sorted. */
  async repositories(): Promise<string[]> {
    const found: string[] = [];
    const visit = async (prefix: string): Promise<void> => {
      const names = await namesIn(join(this.#root, 'repositories', prefix));
      if (names.some((name) => name.startsWith('_'))) found.push(prefix);
      for (const name of names) if (!name.startsWith('_')) await visit(prefix === '' ? name : `${prefix}/${name}`);
    };
    await visit('');
    return found.sort();
  }

  /** The repository's blobs; `changedMs` is when one was last pushed or mounted, here or elsewhere. */
  async *blobsOf(name: string): AsyncIterable<{ digest: Digest; changedMs: number }> {
    for await (const { digest, path } of digestFiles(join(this.#repository(name), '_blobs'))) {
      const file = await statIfThere(path);
      if (file) yield { digest, changedMs: file.ctimeMs };
    }
  }

  /** The repository's manifests; `changedMs` is when one was last pushed. */
  async *manifestsOf(name: string): AsyncIterable<{ digest: Digest; changedMs: number }> {
    for await (const { digest, path } of digestFiles(join(this.#repository(name), '_manifests'))) {
      const file = await statIfThere(path);
      if (file) yield { digest, changedMs: file.mtimeMs };
    }
  }

  /** All blobs, with the number of names that each file has: one for `blobs/`, one for each repository. */
  async *sharedBlobs(): AsyncIterable<{ digest: Digest; links: number; sizeBytes: number }> {
    for (const algorithm of await namesIn(join(this.#root, 'blobs'))) {
      for (const prefix of await namesIn(join(this.#root, 'blobs', algorithm))) {
        for (const hex of await namesIn(join(this.#root, 'blobs', algorithm, prefix))) {
          const digest = parseDigest(`${algorithm}:${hex}`);
          const file = digest && (await statIfThere(this.#sharedPath(digest)));
          if (digest && file) yield { digest, links: file.nlink, sizeBytes: file.size };
        }
      }
    }
  }

  /** Repositories that have the blob keep it: only its shared name goes. */
  async deleteSharedBlob(digest: Digest): Promise<void> {
    await this.#remove(this.#sharedPath(digest));
  }

  /** Removes what writes that were cut off before then have left beside what they were to replace. */
  async deleteUnfinished(name: string, beforeMs: number): Promise<void> {
    const repository = this.#repository(name);
    const folders = [join(repository, '_tags')];
    for (const kind of ['_manifests', '_referrers']) {
      for (const inside of await namesIn(join(repository, kind))) folders.push(join(repository, kind, inside));
    }
    for (const folder of folders) {
      for (const left of (await namesIn(folder)).filter((file) => file.startsWith('.'))) {
        const file = await statIfThere(join(folder, left));
        if (file && file.mtimeMs < beforeMs) await this.#remove(join(folder, left));
      }
    }
  }

  async #linkBlob(name: string, digest: Digest, source: string): Promise<void> {
    const path = this.blobPath(name, digest);
    await this.ensureFolder(dirname(path));
    await this.#blobTurns.hold(turnOf(name, digest), undefined, async () => {
      if (!(await linkIfAbsent(source, path))) await touch(path);
    });
    await syncFolderAsync(dirname(path));
  }

  async #writeDurably(path: string, content: Buffer | string): Promise<void> {
    await this.ensureFolder(dirname(path));
    await replaceFileAsync(path, content, { mode: 0o644 });
  }

  async #remove(path: string): Promise<boolean> {
    try {
      await unlink(path);
    } catch (error) {
      if (isMissing(error)) return false;
      throw error;
    }
    await syncFolderAsync(dirname(path));
    return true;
  }

  #repository(name: string): string {
    return join(this.#root, 'repositories', name);
  }

  #sharedPath({ algorithm, hex }: Digest): string {
    return join(this.#root, 'blobs', algorithm, hex.slice(0, 2), hex);
  }

  #manifestPath(name: string, { algorithm, hex }: Digest): string {
    return join(this.#repository(name), '_manifests', algorithm, hex);
  }

  #referrerPath(name: string, subject: string, digest: string): string {
    return join(this.#repository(name), '_referrers', subject.replace(':', '-'), digest.replace(':', '-'));
  }
}

/** How many folders' names are remembered to be on the disk; those forgotten are synced once more. */
const durableFoldersMax = 50_000;
/** A blob that was touched this lately is not touched again. */
const freshMs = 60_000;

const turnOf = (name: string, { algorithm, hex }: Digest) => `${name}@${algorithm}:${hex}`;

function descriptorOf(text: Buffer): Descriptor | undefined {
  try {
    const value: unknown = JSON.parse(text.toString('utf8'));
    return typeof value === 'object' && value !== null ? (value as Descriptor) : undefined;
  } catch {
    return undefined; // Written whole or not at all: the disk lost it.
  }
}

/** False when there is a file already. */
async function linkIfAbsent(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false;
    throw error;
  }
}

/** Makes the file's change time the present, which the sweep goes by. */
async function touch(path: string): Promise<void> {
  const now = new Date();
  await utimes(path, now, now);
}

/** The files of a folder with one folder for each algorithm. */
async function* digestFiles(folder: string): AsyncIterable<{ digest: Digest; path: string }> {
  for (const algorithm of await namesIn(folder)) {
    for (const hex of await namesIn(join(folder, algorithm))) {
      const digest = parseDigest(`${algorithm}:${hex}`);
      if (digest) yield { digest, path: join(folder, algorithm, hex) };
    }
  }
}

async function statIfThere(path: string) {
  try {
    return await stat(path);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

async function namesIn(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  return hasCode(error, 'ENOENT') || hasCode(error, 'ENOTDIR');
}

export function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
