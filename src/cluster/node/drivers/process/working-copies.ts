import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { mkdir, readdir, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { bootId } from '../../../../lib/boot-id.ts';
import type { Clock } from '../../../../lib/clock.ts';
import { replaceFile } from '../../../../lib/durable.ts';
import { messageOf } from '../../../../lib/errors.ts';
import type { Logger } from '../../../../observe/log.ts';
import type { Files } from '../../images/files.ts';
import type { Image } from '../../images/image.ts';
import { CompileCaches } from './compile-cache.ts';

/** Spares are copied this long after a pod is ready: its first requests come first. */
const prepareDelayMs = 500;
/** Spares of one image: one that lies ready while another is in use, and that one when it comes back. */
const sparesMax = 2;

export interface WorkingCopiesOptions {
  dir: string;
  files: Files;
  clock: Clock;
  log: Logger;
}

/**
 * Working copies of images (images/working-copy.ts), one for one start of one container. For each image in use a spare
 * lies ready, so that a start takes a rename instead of copying thousands of files; and a copy whose program has left
 * the image's files as they were becomes a spare again:
 *
 *     image ──copy──▶ spares/HEX/ID ──take──▶ pods/UID/CONTAINER ──recycle──▶ spares/HEX/ID
 */
export class WorkingCopies {
  readonly compileCaches: CompileCaches;
  readonly #dir: string;
  readonly #trash: string;
  readonly #files: Files;
  readonly #clock: Clock;
  readonly #log: Logger;
  /** The spares that lie ready, by digest. */
  readonly #spares = new Map<string, string[]>();
  readonly #preparing = new Map<string, () => void>();
  readonly #working = new Set<Promise<void>>();
  #isClosed = false;

  constructor({ dir, files, clock, log }: WorkingCopiesOptions) {
    this.#dir = join(dir, 'spares');
    this.#trash = join(dir, 'trash');
    this.#files = files;
    this.#clock = clock;
    this.#log = log;
    const caches = join(dir, 'compile-caches');
    for (const folder of [this.#dir, this.#trash, caches]) mkdirSync(folder, { recursive: true });
    this.compileCaches = new CompileCaches(caches);
    // Spares are not synced: of what was made before the machine went down, only the names may be left.
    const boot = join(dir, 'boot');
    const isSameBoot = readIfThere(boot) === bootId();
    if (!isSameBoot) replaceFile(boot, bootId());
    for (const hex of foldersIn(this.#dir)) {
      if (!isSameBoot) this.discard(join(this.#dir, hex));
      else
        this.#spares.set(
          hex,
          foldersIn(join(this.#dir, hex)).map((name) => join(this.#dir, hex, name)),
        );
    }
  }

  /** Makes `place` a working copy of the image; what was there before is removed in the background. */
  async take(image: Image, place: string): Promise<void> {
    // Blocking calls: each is a few microseconds of work in memory, and this is on a request's way from zero.
    if (existsSync(place)) this.discard(place);
    mkdirSync(dirname(place), { recursive: true });
    const spare = this.#spares.get(hexOf(image.digest))?.pop();
    if (spare === undefined) await this.#copy(image, place);
    else renameSync(spare, place);
  }

  /** Sees to it that a spare copy of the image will lie ready. */
  prepare(image: Image): void {
    const hex = hexOf(image.digest);
    if (this.#isClosed || this.#preparing.has(hex) || this.#spareCount(hex) > 0) return;
    const cancel = this.#clock.after(prepareDelayMs, () => {
      // A copy may have come back meanwhile.
      if (this.#spareCount(hex) > 0) this.#preparing.delete(hex);
      else this.#work(this.#prepareNow(image).finally(() => this.#preparing.delete(hex)));
    });
    this.#preparing.set(hex, cancel);
  }

  /** A start at `place` has ended: what its program compiled serves the next ones. */
  harvest(imageDigest: string, place: string): void {
    if (this.#isClosed || !this.compileCaches.harvest(imageDigest, place)) return;
    // The spares were made without it: they get theirs when they come back; those that lie ready are made anew.
    for (const spare of this.#spares.get(hexOf(imageDigest))?.splice(0) ?? []) this.recycle(imageDigest, spare);
  }

  /** Nothing runs at `place` any more: it becomes a spare again if it is wanted and as good as new, or goes. */
  recycle(imageDigest: string, place: string): void {
    const hex = hexOf(imageDigest);
    const work = this.#moveAway(place);
    if (work === undefined) return;
    if (this.#isClosed || this.#spareCount(hex) >= sparesMax) {
      this.#remove(work);
      return;
    }
    const restoring = this.#files.restore(work, this.compileCaches.find(imageDigest)).then(
      (isAsNew) => (isAsNew && this.#spareCount(hex) < sparesMax ? this.#addSpare(hex, work) : this.#remove(work)),
      (error) => {
        this.#log.warn({ place, reason: messageOf(error) }, 'a working copy could not be used again');
        this.#remove(work);
      },
    );
    this.#work(restoring);
  }

  /** Removes the spares and caches of images other than these, and what an earlier agent left in the trash. */
  async keep(digests: ReadonlySet<string>): Promise<void> {
    const wanted = new Set([...[...digests].map(hexOf), ...this.#preparing.keys()]);
    for (const hex of await readdir(this.#dir)) {
      if (wanted.has(hex)) continue;
      this.#spares.delete(hex);
      this.discard(join(this.#dir, hex));
    }
    for (const hex of await this.compileCaches.names()) {
      if (!wanted.has(hex)) this.discard(this.compileCaches.pathOf(hex));
    }
    if (this.#working.size > 0) return; // What is being made or removed lies there too: another time.
    for (const name of await readdir(this.#trash)) this.#remove(join(this.#trash, name));
  }

  /** Removes a folder: at once out of its place, and from the disk in the background. */
  discard(path: string): void {
    const doomed = this.#moveAway(path);
    if (doomed !== undefined) this.#remove(doomed);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const cancel of this.#preparing.values()) cancel();
    while (this.#working.size > 0) await Promise.all(this.#working);
  }

  #spareCount(hex: string): number {
    return this.#spares.get(hex)?.length ?? 0;
  }

  async #prepareNow(image: Image): Promise<void> {
    const work = join(this.#trash, randomUUID());
    try {
      await this.#copy(image, work);
      await this.#addSpare(hexOf(image.digest), work);
    } catch (error) {
      const reason = messageOf(error);
      this.#log.warn({ image: image.digest, reason }, 'no spare copy: the next start copies the image');
      this.#remove(work);
    }
  }

  async #addSpare(hex: string, copy: string): Promise<void> {
    const place = join(this.#dir, hex, randomUUID());
    await mkdir(dirname(place), { recursive: true });
    await rename(copy, place);
    const spares = this.#spares.get(hex);
    if (spares) spares.push(place);
    else this.#spares.set(hex, [place]);
  }

  /** Copies beside and renames: what has the name is whole. */
  async #copy({ digest, layers }: Image, place: string): Promise<void> {
    const target = join(this.#trash, randomUUID());
    await this.#files.copy({ layers, cache: this.compileCaches.find(digest), target });
    await rename(target, place);
  }

  #moveAway(path: string): string | undefined {
    const place = join(this.#trash, randomUUID());
    try {
      renameSync(path, place);
      return place;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  #remove(path: string): void {
    const removing = this.#files.remove(path);
    this.#work(removing.catch((error) => this.#log.warn({ path, reason: messageOf(error) }, 'a folder stays')));
  }

  #work(job: Promise<void>): void {
    const done = job.finally(() => this.#working.delete(done));
    this.#working.add(done);
  }
}

function foldersIn(path: string): string[] {
  const entries = readdirSync(path, { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined; // The first start.
  }
}

const hexOf = (digest: string) => digest.slice(digest.indexOf(':') + 1);
