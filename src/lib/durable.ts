import { randomUUID } from 'node:crypto';
import {
  closeSync,
  fdatasyncSync,
  fsyncSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/**
 * Makes the folder, and those above it that are not there. When it returns, power loss cannot take away their names: a
 * file that is synced is lost all the same with a folder whose name was not. Each is synced before the next one is
 * made, so of those that were there before, only the last may have been left unsynced, by a process that was killed.
 */
export function makeFolder(path: string, options: { mode?: number } = {}): void {
  if (!isFolder(path)) {
    // Not by `recursive`: that tries for ever in a folder that takes no folders and says ENOENT, as /proc does.
    if (dirname(path) !== path && !isFolder(dirname(path))) makeFolder(dirname(path), options);
    try {
      mkdirSync(path, options);
    } catch (error) {
      if (!isFolder(path)) throw error; // Else somebody was faster.
    }
  }
  syncNameOf(path);
}

const isFolder = (path: string) => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;

function syncNameOf(path: string): void {
  try {
    syncFolder(dirname(path));
  } catch (error) {
    // A folder that we may write to but not read, or a file system that syncs no folders: nothing can be done.
    if (!['EACCES', 'EPERM', 'EINVAL'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}

/** When it returns, names that were made, moved or removed in the folder before survive power loss as they are. */
export function syncFolder(path: string): void {
  const folder = openSync(path, 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

export interface ReplaceOptions {
  mode?: number;
  /** False for what is made anew after power loss, which may damage it then; true unless given. */
  mustLast?: boolean;
}

/**
 * Replaces the file as a whole. A reader sees the old content or the new one, also after power loss at any moment;
 * when it returns, the new one. Its folder must be there, durably.
 */
export function replaceFile(path: string, content: string, { mode, mustLast = true }: ReplaceOptions = {}): void {
  const beside = `${path}.${process.pid}.tmp`;
  try {
    const file = openSync(beside, 'w', mode);
    try {
      writeFileSync(file, content);
      if (mustLast) fdatasyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(beside, path);
  } catch (error) {
    rmSync(beside, { force: true });
    throw error;
  }
  if (mustLast) syncFolder(dirname(path));
}

/** As `syncFolder`, on libuv's pool: for who may not keep the event loop waiting. */
export async function syncFolderAsync(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** As `replaceFile`, on libuv's pool; several may replace the file at once. What is beside begins with a dot. */
export async function replaceFileAsync(
  path: string,
  content: string | Buffer,
  { mode, mustLast = true }: ReplaceOptions = {},
): Promise<void> {
  const beside = join(dirname(path), `.${randomUUID()}`);
  try {
    const file = await open(beside, 'wx', mode);
    try {
      await file.writeFile(content);
      if (mustLast) await file.datasync();
    } finally {
      await file.close();
    }
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  }
  if (mustLast) await syncFolderAsync(dirname(path));
}
