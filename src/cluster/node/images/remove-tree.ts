import { randomUUID } from 'node:crypto';
import { chmodSync, lstatSync, readdirSync, renameSync, rmdirSync, unlinkSync } from 'node:fs';

/** Folders with longer paths (bytes) are moved up before they are emptied: there is always room for one more name. */
const pathMax = 1024;
/** Somebody may still be writing there. */
const tries = 3;

/**
 * Removes what is at `path` and below, without following links. Unlike Node's own `rm` it is not stopped by folders
 * without rights, nor by nesting beyond what a path can name or a process can hold open. Blocks on the disk: call it in
 * a worker.
 */
export function removeTree(path: string | Buffer): void {
  for (let left = tries; ; left--) {
    try {
      removeOnce(path);
      return;
    } catch (error) {
      if (left <= 1 || (error as NodeJS.ErrnoException).code !== 'ENOTEMPTY') throw error;
    }
  }
}

function removeOnce(path: string | Buffer): void {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (!found) return;
  if (!found.isDirectory()) {
    unlinkSync(path);
    return;
  }
  // As bytes: names need not be text.
  const root = Buffer.from(path);
  const folders = [root];
  // It grows while it is walked: parents come before what is in them.
  for (const folder of folders) {
    const options = { withFileTypes: true, encoding: 'buffer' } as const;
    for (const entry of withRights(folder, () => readdirSync(folder, options))) {
      const inner = within(folder, entry.name);
      if (!entry.isDirectory()) withRights(folder, () => unlinkSync(inner));
      else if (folder.length - root.length <= pathMax) folders.push(inner);
      else {
        const lifted = within(root, Buffer.from(randomUUID()));
        withRights(folder, () => withRights(inner, () => renameSync(inner, lifted)));
        folders.push(lifted);
      }
    }
  }
  for (const folder of folders.reverse()) rmdirSync(folder);
}

const slash = Buffer.from('/');
const within = (folder: Buffer, name: Buffer) => Buffer.concat([folder, slash, name]);

/** Does it again with all rights of the owner when the folder does not give them. */
function withRights<T>(folder: Buffer, work: () => T): T {
  try {
    return work();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EACCES' && code !== 'EPERM') throw error;
    chmodSync(folder, 0o700);
    return work();
  }
}
