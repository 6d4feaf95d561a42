import {
  chmodSync,
  chownSync,
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

export type MergedLayer = Pick<UnpackedLayer, 'root' | 'whiteouts' | 'opaques'>;

/**
 * Copies the layers over one another into `target`, which is made: a root that nothing else shares. Files are cloned
 * where the file system can (Btrfs, XFS, APFS). All is the agent's own; devices and pipes are left out, and so is what
 * stands for a whiteout. Never writes through a link. Blocks on the disk: call it in a worker.
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
    copyFolder(layer.root, target, index > 0);
  }
}

const ownUid = process.geteuid?.() ?? 0;
const ownGid = process.getegid?.() ?? 0;

function copyFolder(from: string, to: string, mayReplace: boolean): void {
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    if (entry.name.includes('\ufffd')) continue; // A name that is no text, mostly: no program of ours asks for it.
    const source = join(from, entry.name);
    const path = join(to, entry.name);
    if (entry.isDirectory()) {
      const found = mayReplace ? lstatSync(path, { throwIfNoEntry: false }) : undefined;
      if (found && !found.isDirectory()) removeTree(path);
      const stat = lstatSync(source);
      // The owner must be able to read, copy and remove what is in it.
      if (!found?.isDirectory()) mkdirSync(path, { mode: (stat.mode & 0o777) | 0o700 });
      copyFolder(source, path, mayReplace && found?.isDirectory() === true);
      lutimesSync(path, stat.atime, stat.mtime);
    } else {
      if (mayReplace) removeTree(path);
      if (entry.isSymbolicLink()) {
        symlinkSync(readlinkSync(source), path);
      } else if (entry.isFile()) {
        // Nothing else: reading a pipe that somebody left there would wait for ever.
        copyFileSync(source, path, constants.COPYFILE_FICLONE);
        const { atime, mtime, mode, uid, gid } = lstatSync(source);
        // The copy is ours, whoever owns the image's file: no setuid program of somebody else's becomes one of ours.
        if (uid !== ownUid || gid !== ownGid) chownSync(path, ownUid, ownGid);
        if ((mode & 0o7400) !== 0o400) chmodSync(path, (mode & 0o777) | 0o400);
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
