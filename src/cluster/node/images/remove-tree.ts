import { randomUUID } from 'node:crypto';
import { chmodSync, lstatSync, readdirSync, renameSync, rmdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';

/** Folders deeper than this are moved up before they are emptied: paths stay short however deep a program went. */
const depthMax = 64;
/** Somebody may still be writing there. */
const tries = 3;

/**
 * Removes what is at `path` and below, without following links. Unlike Node's own `rm` it is not stopped by folders
 * without rights, nor by nesting beyond what a path can name or a process can hold open. Blocks on the disk: call it in
 * a worker.
 */
export function removeTree(path: string): void {
  for (let left = tries; ; left--) {
    try {
      removeOnce(path);
      return;
    } catch (error) {
      if (left <= 1 || (error as NodeJS.ErrnoException).code !== 'ENOTEMPTY') throw error;
    }
  }
}

function removeOnce(path: string): void {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (!found) return;
  if (!found.isDirectory()) {
    unlinkSync(path);
    return;
  }
  const folders = [{ path, depth: 0 }];
  // It grows while it is walked: parents come before what is in them.
  for (const folder of folders) {
    for (const entry of withRights(folder.path, () => readdirSync(folder.path, { withFileTypes: true }))) {
      const inner = join(folder.path, entry.name);
      if (!entry.isDirectory()) withRights(folder.path, () => unlinkSync(inner));
      else if (folder.depth < depthMax) folders.push({ path: inner, depth: folder.depth + 1 });
      else {
        const lifted = join(path, randomUUID());
        withRights(folder.path, () => withRights(inner, () => renameSync(inner, lifted)));
        folders.push({ path: lifted, depth: 1 });
      }
    }
  }
  for (const folder of folders.reverse()) rmdirSync(folder.path);
}

/** Does it again with all rights of the owner when the folder does not give them. */
function withRights<T>(folder: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EACCES' && code !== 'EPERM') throw error;
    chmodSync(folder, 0o700);
    return work();
  }
}
