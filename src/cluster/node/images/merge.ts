import {
  constants,
  copyFileSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  symlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import { containedPath } from './contained-path.ts';
import type { UnpackedLayer } from './image.ts';
import { removeTree } from './remove-tree.ts';

export type MergedLayer = Pick<UnpackedLayer, 'path' | 'whiteouts' | 'opaques'>;

/**
 * Copies the layers over one another into `target`, which is made: a root that nothing else shares. Files are cloned
 * where the file system can (Btrfs, XFS, APFS). Never writes through a link. Blocks on the disk: call it in a worker.
 */
export function mergeLayers(layers: readonly MergedLayer[], target: string): void {
  mkdirSync(target, { recursive: true, mode: 0o755 });
  for (const [index, layer] of layers.entries()) {
    for (const path of layer.opaques) {
      const folder = realFolder(target, containedPath(path));
      if (folder) for (const name of readdirSync(folder)) removeTree(join(folder, name));
    }
    for (const whiteout of layer.whiteouts) {
      const path = containedPath(whiteout);
      if (path === '') continue; // The root itself stays.
      const cut = path.lastIndexOf('/');
      const folder = realFolder(target, cut < 0 ? '' : path.slice(0, cut));
      if (folder) removeTree(join(folder, path.slice(cut + 1)));
    }
    copyFolder(layer.path, target, index > 0);
  }
}

function copyFolder(from: string, to: string, mayReplace: boolean): void {
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const source = join(from, entry.name);
    const path = join(to, entry.name);
    if (entry.isDirectory()) {
      const found = mayReplace ? lstatSync(path, { throwIfNoEntry: false }) : undefined;
      if (found && !found.isDirectory()) removeTree(path);
      const stat = lstatSync(source);
      if (!found?.isDirectory()) mkdirSync(path, { mode: stat.mode & 0o777 });
      copyFolder(source, path, mayReplace && found?.isDirectory() === true);
      lutimesSync(path, stat.atime, stat.mtime);
    } else {
      if (mayReplace) removeTree(path);
      if (entry.isSymbolicLink()) {
        symlinkSync(readlinkSync(source), path);
      } else if (entry.isFile()) {
        // Nothing else: reading a pipe that somebody left there would wait for ever.
        copyFileSync(source, path, constants.COPYFILE_FICLONE);
        const { atime, mtime } = lstatSync(source);
        lutimesSync(path, atime, mtime);
      }
    }
  }
}

/** The folder at `path` within `root`, or undefined when it is not there or a link is on the way. */
function realFolder(root: string, path: string): string | undefined {
  let folder = root;
  for (const part of path === '' ? [] : path.split('/')) {
    folder = join(folder, part);
    if (!lstatSync(folder, { throwIfNoEntry: false })?.isDirectory()) return undefined;
  }
  return folder;
}
