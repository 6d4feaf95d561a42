import { closeSync, existsSync, fsyncSync, openSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { replaceFile } from '../../../lib/durable.ts';

/** The file in a folder that says that all of it is on the disk. */
export const syncedMark = 'synced';

/**
 * Syncs all files and folders of a tree and its name, and then leaves a mark in it; false when it is gone. Blocks on
 * the disk: call it in a worker, best when the system has written most of it by itself.
 */
export function syncTree(folder: string): boolean {
  if (!existsSync(folder)) return false;
  // As bytes: names need not be text.
  const folders = [Buffer.from(folder)];
  for (const path of folders) {
    for (const entry of readdirSync(path, { withFileTypes: true, encoding: 'buffer' })) {
      const inner = Buffer.concat([path, slash, entry.name]);
      if (entry.isDirectory()) folders.push(inner);
      else if (entry.isFile()) sync(inner);
    }
  }
  for (const path of folders.reverse()) sync(path);
  sync(dirname(folder));
  replaceFile(join(folder, syncedMark), '');
  return true;
}

const slash = Buffer.from('/');

function sync(path: string | Buffer): void {
  const file = openSync(path, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
