import { chmodSync, chownSync, lstatSync, mkdirSync, readdirSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { parseDigest } from '../../../../registry/digest.ts';
import type { Image } from '../../images/image.ts';

/**
 * Images as overlayfs stacks them, by names so short that the options of the mount fit into the kernel's one page
 * however many layers there are and wherever they lie:
 *
 *     stacks/HEX/0 → the lowest layer, 1 → …
 *     CONTAINER/l → stacks/HEX,  upper/  work/  rootfs/
 *
 * and the mount is made in the container's folder: `lowerdir=l/1:l/0,upperdir=upper,workdir=work`.
 */
export class Stacks {
  readonly #dir: string;
  readonly #known = new Set<string>();

  constructor(dir: string) {
    this.#dir = dir;
    mkdirSync(dir, { recursive: true });
  }

  /** Makes an image's stack, once; returns its folder. */
  of(image: Image): string {
    const hex = parseDigest(image.digest)?.hex ?? '';
    const path = join(this.#dir, hex);
    if (this.#known.has(hex)) return path;
    mkdirSync(path, { recursive: true });
    // An image of no layers is an empty folder.
    if (image.layers.length === 0) mkdirSync(join(path, '0'), { recursive: true });
    for (const [index, layer] of image.layers.entries()) {
      const link = join(path, String(index));
      // A layer's place is by its digest: what an earlier agent made leads there, too.
      if (!lstatSync(link, { throwIfNoEntry: false })) symlinkSync(layer.root, link);
    }
    this.#known.add(hex);
    return path;
  }

  keep(digests: ReadonlySet<string>): void {
    const kept = new Set([...digests].map((digest) => parseDigest(digest)?.hex));
    for (const hex of readdirSync(this.#dir)) {
      if (kept.has(hex)) continue;
      this.#known.delete(hex);
      rmSync(join(this.#dir, hex), { recursive: true, force: true });
    }
  }
}

/** What a container writes beside its volumes, in its own folder. */
export const upperOf = (place: string): string => join(place, 'upper');

/** Makes the folders of a container's root in its own folder; returns the options of the mount. */
export function prepareOverlay(place: string, stack: string, image: Image): string {
  for (const name of ['upper', 'work', 'rootfs']) mkdirSync(join(place, name));
  // The root of an overlay is that of its upper layer.
  const top = image.layers.at(-1);
  if (top) {
    const { mode, uid, gid } = statSync(top.root);
    chownSync(upperOf(place), uid, gid);
    chmodSync(upperOf(place), mode & 0o7777);
  }
  symlinkSync(stack, join(place, 'l'));
  const count = Math.max(1, image.layers.length);
  const lower = Array.from({ length: count }, (_, index) => `l/${count - 1 - index}`).join(':');
  return `lowerdir=${lower},upperdir=upper,workdir=work${isVolatile ? ',volatile' : ''}`;
}

/**
 * What a container writes beside its volumes ends with it, so it never has to be on the disk: without this, each
 * unmount would sync the whole file system that it is on. Linux 5.10.
 */
const isVolatile = (() => {
  const [major = 0, minor = 0] = release().split('.').map(Number);
  return major > 5 || (major === 5 && minor >= 10);
})();
