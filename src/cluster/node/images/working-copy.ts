import { lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type MergedLayer, mergeLayers } from './merge.ts';
import { removeTree } from './remove-tree.ts';

/** What a working copy holds: `root/` from the image, the program's `home/`, and its compile `cache/`. */
export interface CopyOptions {
  layers: readonly MergedLayer[];
  /** The folder to fill `cache/` from. */
  cache: string | undefined;
  /** Made by the call. */
  target: string;
}

/** Makes a working copy. Blocks on the disk: call it in a worker. */
export function makeCopy({ layers, cache, target }: CopyOptions): void {
  mergeLayers(layers, join(target, 'root'));
  fillRest(target, cache);
  writeFileSync(join(target, 'index'), indexOf(join(target, 'root')));
}

/**
 * Makes a working copy that a program has used as good as new; false when that cannot be: a file of the image was
 * changed or is missing. What the program added is removed. Saves making and removing thousands of files for each
 * start: on ext4 a new file costs about a millisecond when as many were removed just before.
 */
export function restoreCopy(place: string, cache: string | undefined): boolean {
  let lines: string[];
  try {
    lines = readFileSync(join(place, 'index'), 'utf8').split('\n').slice(0, -1);
  } catch {
    return false; // It was not finished.
  }
  const expected = new Map(lines.map((line) => line.split('\0') as [path: string, state: string]));
  if (removeAdded(join(place, 'root'), '', expected) !== expected.size) return false;
  // `tmp/` is there when there was no place for temporary files but here.
  for (const name of ['home', 'tmp', 'cache']) removeTree(join(place, name));
  fillRest(place, cache);
  return true;
}

function fillRest(place: string, cache: string | undefined): void {
  mkdirSync(join(place, 'home'));
  mergeLayers(cache === undefined ? [] : [{ root: cache, whiteouts: [], opaques: [] }], join(place, 'cache'));
}

/** A line for each entry of the tree: its path and what tells that it is still the same, apart by NUL. */
function indexOf(root: string): string {
  const lines: string[] = [];
  const walk = (folder: string) => {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
      lines.push(`${path}\0${stateOf(join(root, path))}\n`);
      if (entry.isDirectory()) walk(path);
    }
  };
  walk('');
  return lines.join('');
}

/** Removes what `expected` does not have; returns how many entries are as they were. */
function removeAdded(root: string, folder: string, expected: ReadonlyMap<string, string>): number {
  let same = 0;
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
    // A name that is no text: its file can be neither looked at nor removed by it.
    if (path.includes('\ufffd')) return Number.NaN;
    const state = expected.get(path);
    if (state === undefined) removeTree(join(root, path));
    else if (state === stateOf(join(root, path))) {
      same += 1 + (entry.isDirectory() ? removeAdded(root, path, expected) : 0);
    }
  }
  return same;
}

/**
 * Of a file, its number and the time of its last change of any kind (ctime, which no program can set). Of a folder, its
 * mode: what it holds is looked at by itself.
 */
function stateOf(path: string): string {
  const stat = lstatSync(path, { bigint: true });
  return stat.isDirectory() ? `d${stat.mode}` : `${stat.ino} ${stat.ctimeNs}`;
}
