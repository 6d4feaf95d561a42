import { createHash } from 'node:crypto';
import { chmodSync, lchownSync, lstatSync, lutimesSync, mkdirSync, type Stats } from 'node:fs';
import type { UnpackedLayer } from './image.ts';
import { pathIn } from './names.ts';

export type StackedLayer = Pick<UnpackedLayer, 'root' | 'whiteouts' | 'opaques' | 'implicit'>;

/**
 * Where layers are stacked, a folder is as the highest layer that has it says. One that has it only for what is in it
 * says nothing, and what a lower one says would be lost: an unpacker that writes one layer over the other leaves the
 * folder as it was. So an image of such layers gets one more on top, of nothing but these folders as they should be.
 *
 *     layer 2   etc/  (implicit: 0755, root)   etc/app.conf        on top   etc/  (0750, app)
 *     layer 1   etc/  (0750, app)
 *
 * Makes it in `target`, and returns a digest of what is in it; undefined when none is needed: nothing is made then.
 * `layers` have the lowest first. Attributes of folders are not carried over. Blocks on the disk: call it in a worker.
 */
export function makeFolderLayer(layers: readonly StackedLayer[], target: string): string | undefined {
  const sets = layers.map((layer) => ({
    ...layer,
    whiteouts: new Set(layer.whiteouts),
    opaques: new Set(layer.opaques),
    implicit: new Set(layer.implicit),
  }));
  const wrong = new Map<string, Stats>();
  for (const path of new Set(layers.flatMap((layer) => layer.implicit))) {
    const meant = meantFor(sets, path);
    if (meant) wrong.set(path, meant);
  }
  if (wrong.size === 0) return undefined;
  // With what is above them, as it is.
  for (const path of [...wrong.keys()]) {
    for (let cut = path.lastIndexOf('/'); cut > 0; cut = path.lastIndexOf('/', cut - 1)) {
      const above = path.slice(0, cut);
      const highest = wrong.has(above) ? undefined : sets.findLast((layer) => folderIn(layer.root, above));
      const stat = highest && folderIn(highest.root, above);
      if (stat) wrong.set(above, stat);
    }
  }
  const hash = createHash('sha256');
  const sorted = [...wrong].sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [path] of sorted) mkdirSync(pathIn(target, path), { mode: 0o755 });
  // The deepest first: what is made in a folder changes its time.
  for (const [path, { mode, uid, gid, mtimeMs }] of sorted.reverse()) {
    const made = pathIn(target, path);
    if (process.geteuid?.() === 0) lchownSync(made, uid, gid);
    chmodSync(made, mode & 0o7777);
    lutimesSync(made, mtimeMs / 1000, mtimeMs / 1000);
    hash.update(JSON.stringify([path, mode & 0o7777, uid, gid, mtimeMs]));
  }
  return `sha256:${hash.digest('hex')}`;
}

type Sets = { [K in keyof StackedLayer]: K extends 'root' ? string : Set<string> };

/** What a lower layer says of a folder that the highest with it says nothing of. */
function meantFor(layers: readonly Sets[], path: string): Stats | undefined {
  let isSilent = false;
  for (const layer of [...layers].reverse()) {
    const stat = folderIn(layer.root, path);
    if (stat && !layer.implicit.has(path)) return isSilent ? stat : undefined;
    if (stat) isSilent = true;
    if (hides(layer, path)) return undefined;
  }
  return undefined;
}

/** Whether those below the layer have no say about the folder any more. */
function hides({ root, whiteouts, opaques }: Sets, path: string): boolean {
  if (whiteouts.has(path) || opaques.has('')) return true;
  for (let cut = path.indexOf('/'); cut >= 0; cut = path.indexOf('/', cut + 1)) {
    const above = path.slice(0, cut);
    if (whiteouts.has(above) || opaques.has(above)) return true;
    const stat = lstatSync(pathIn(root, above), { throwIfNoEntry: false });
    if (!stat) return false; // Nothing of this layer is below.
    if (!stat.isDirectory()) return true;
  }
  const stat = lstatSync(pathIn(root, path), { throwIfNoEntry: false });
  return stat !== undefined && !stat.isDirectory();
}

function folderIn(root: string, path: string): Stats | undefined {
  const stat = isReal(root, path) ? lstatSync(pathIn(root, path), { throwIfNoEntry: false }) : undefined;
  return stat?.isDirectory() ? stat : undefined;
}

/** No link is on the way. */
function isReal(root: string, path: string): boolean {
  for (let cut = path.indexOf('/'); cut >= 0; cut = path.indexOf('/', cut + 1)) {
    if (!lstatSync(pathIn(root, path.slice(0, cut)), { throwIfNoEntry: false })?.isDirectory()) return false;
  }
  return true;
}
