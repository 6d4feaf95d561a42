import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { mkdir, readdir, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { messageOf } from '../../../../lib/errors.ts';
import type { Logger } from '../../../../observe/log.ts';
import type { Files } from '../../images/files.ts';
import type { Image } from '../../images/image.ts';
import { CompileCaches } from './compile-cache.ts';

/**
 * Working copies of images: a folder with `root/`, `home/`, `tmp/` and `cache/` for one start of one container. For each image
 * in use one spare copy lies ready, so that a start takes a rename instead of copying thousands of files:
 *
 *     spares/HEX/ready  ──take()──▶  pods/UID/CONTAINER        (refilled by prepare())
 */
export class WorkingCopies {
  readonly #dir: string;
  readonly #trash: string;
  readonly #files: Files;
  readonly #log: Logger;
  readonly #images = new Map<string, Image>();
  readonly #preparing = new Map<string, Promise<void>>();
  readonly #removing = new Set<Promise<void>>();
  #isClosed = false;
  readonly compileCaches: CompileCaches;

  constructor(dir: string, files: Files, log: Logger) {
    this.#dir = join(dir, 'spares');
    this.#trash = join(dir, 'trash');
    this.#files = files;
    this.#log = log;
    mkdirSync(this.#dir, { recursive: true });
    mkdirSync(this.#trash, { recursive: true });
    mkdirSync(join(dir, 'compile-caches'), { recursive: true });
    this.compileCaches = new CompileCaches(join(dir, 'compile-caches'));
  }

  /** Makes `place` a working copy of the image; what was there before is removed in the background. */
  async take(image: Image, place: string): Promise<void> {
    // Blocking calls: each is a few microseconds of work in memory, and this is on a request's way from zero.
    if (existsSync(place)) this.discard(place);
    mkdirSync(dirname(place), { recursive: true });
    try {
      renameSync(this.#spare(image.digest), place);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      await this.#copy(image, place);
    }
  }

  /** Sees to it that a spare copy of the image lies ready. */
  prepare(image: Image): void {
    const { digest } = image;
    this.#images.set(digest, image);
    if (this.#isClosed || this.#preparing.has(digest) || existsSync(this.#spare(digest))) return;
    const work = (async () => {
      try {
        await mkdir(dirname(this.#spare(digest)), { recursive: true });
        await this.#copy(image, this.#spare(digest));
      } catch (error) {
        this.#log.warn({ image: digest, reason: messageOf(error) }, 'no spare copy: the next start copies the image');
      } finally {
        this.#preparing.delete(digest);
      }
    })();
    this.#preparing.set(digest, work);
  }

  /** A start has ended: what it compiled serves the next ones, the spare's included. */
  harvest(imageDigest: string, place: string): void {
    const image = this.#images.get(imageDigest);
    if (this.#isClosed || !this.compileCaches.harvest(imageDigest, place) || !image) return;
    this.discard(this.#spare(imageDigest));
    this.prepare(image);
  }

  /** Removes the spares and caches of images other than these, and what an earlier agent left in the trash. */
  async keep(digests: ReadonlySet<string>): Promise<void> {
    const wanted = new Set([...digests, ...this.#preparing.keys()].map(hexOf));
    for (const name of await readdir(this.#dir)) if (!wanted.has(name)) this.discard(join(this.#dir, name));
    for (const digest of this.#images.keys()) if (!digests.has(digest)) this.#images.delete(digest);
    for (const name of await this.compileCaches.names()) {
      if (!wanted.has(name)) this.discard(this.compileCaches.pathOf(name));
    }
    for (const name of await readdir(this.#trash)) this.#remove(join(this.#trash, name));
  }

  /** Removes a folder: at once out of its place, and from the disk in the background. */
  discard(path: string): void {
    const doomed = join(this.#trash, randomUUID());
    try {
      renameSync(path, doomed);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      throw error;
    }
    this.#remove(doomed);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#preparing.values(), ...this.#removing]);
  }

  #spare(digest: string): string {
    return join(this.#dir, hexOf(digest), 'ready');
  }

  /** Copies beside and renames: what has the name is whole. */
  async #copy(image: Image, place: string): Promise<void> {
    const work = join(this.#trash, randomUUID());
    await this.#files.merge(image.layers, join(work, 'root'));
    const cache = this.compileCaches.find(image.digest);
    if (cache !== undefined)
      await this.#files.merge([{ path: cache, whiteouts: [], opaques: [] }], join(work, 'cache'));
    const empty = ['home', 'tmp', ...(cache === undefined ? ['cache'] : [])];
    await Promise.all(empty.map((name) => mkdir(join(work, name))));
    await rename(work, place);
  }

  #remove(path: string): void {
    const removing = this.#files
      .remove(path)
      .catch((error) => this.#log.warn({ path, reason: messageOf(error) }, 'a folder could not be removed'))
      .finally(() => this.#removing.delete(removing));
    this.#removing.add(removing);
  }
}

const hexOf = (digest: string) => digest.slice(digest.indexOf(':') + 1);
