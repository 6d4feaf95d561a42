import { constants, lstatSync, readlinkSync, type Stats } from 'node:fs';
import { open } from 'node:fs/promises';
import type { Image, UnpackedLayer } from './image.ts';

/** As many as the kernel follows. */
const linksMax = 40;
/** Lists of users and groups are read with it, and no larger ones are believed. */
const fileMaxBytes = 16 * 1024 * 1024;

/**
 * The content of a file as a container of the image would see it: the highest layer's, unless one above removes or
 * hides it, with links followed within the image and never out of it. Undefined when there is no such file, also when
 * there is something else in its place. Throws when it is larger than 16 MiB.
 */
export async function readImageFile(image: Pick<Image, 'layers'>, path: string): Promise<Buffer | undefined> {
  const found = lookUp(image.layers, path);
  if (!found?.stat.isFile()) return undefined;
  if (found.stat.size > fileMaxBytes) throw new Error(`${path} of the image is larger than ${fileMaxBytes} bytes`);
  const file = await open(found.onDisk, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    return await file.readFile();
  } finally {
    await file.close();
  }
}

interface Found {
  onDisk: string;
  stat: Stats;
}

/** What is at the path, no link any more. */
function lookUp(layers: readonly UnpackedLayer[], path: string): Found | undefined {
  const ahead = path.split('/').reverse();
  const folder: string[] = [];
  let found: Found | undefined;
  for (let links = 0; ahead.length > 0; ) {
    const name = ahead.pop() as string;
    if (name === '' || name === '.') continue;
    if (name === '..') {
      folder.pop(); // The root's parent is the root.
      continue;
    }
    if (found && !found.stat.isDirectory()) return undefined;
    const next = visible(layers, [...folder, name]);
    if (!next) return undefined;
    if (next.stat.isSymbolicLink()) {
      if (++links > linksMax) return undefined;
      const target = readlinkSync(next.onDisk);
      if (target.startsWith('/')) folder.length = 0;
      ahead.push(...target.split('/').reverse());
      found = undefined;
    } else {
      if (!next.stat.isDirectory() && ahead.some((rest) => rest !== '' && rest !== '.')) return undefined;
      folder.push(name);
      found = next;
    }
  }
  return found;
}

/** The entry at a path whose folders are no links, in the highest layer that has it, unless one above hides it. */
function visible(layers: readonly UnpackedLayer[], names: readonly string[]): Found | undefined {
  for (const layer of [...layers].reverse()) {
    let onDisk = layer.root;
    let path = '';
    let isHidden = layer.opaques.includes('');
    for (const [index, name] of names.entries()) {
      onDisk = `${onDisk}/${name}`;
      path = path === '' ? name : `${path}/${name}`;
      const isLast = index === names.length - 1;
      const stat = lstatSync(onDisk, { throwIfNoEntry: false });
      const isMark = stat?.isCharacterDevice() && stat.rdev === 0;
      if (stat && !isMark && isLast) return { onDisk, stat };
      if (layer.whiteouts.includes(path) || (stat && !stat.isDirectory())) isHidden = true;
      // What is no folder here, nothing of this layer is below.
      if (!stat?.isDirectory()) break;
      if (layer.opaques.includes(path)) isHidden = true;
    }
    if (isHidden) return undefined;
  }
  return undefined;
}
