import { closeSync, fdatasyncSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Makes the folder, and those above it that are not there. When it returns, power loss cannot take away the names that
 * are new: a file that is synced in a folder whose own name was not is lost all the same.
 */
export function makeFolder(path: string, options: { mode?: number } = {}): void {
  const first = mkdirSync(path, { recursive: true, ...options });
  if (first === undefined) return;
  for (let parent = dirname(path); parent.length >= dirname(first).length; parent = dirname(parent)) syncFolder(parent);
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

/**
 * Replaces the file as a whole. A reader sees the old content or the new one, also after power loss at any moment;
 * when it returns, the new one. Its folder must be there, durably.
 */
export function replaceFile(path: string, content: string, options: { mode?: number } = {}): void {
  const beside = `${path}.${process.pid}.tmp`;
  try {
    const file = openSync(beside, 'w', options.mode);
    try {
      writeFileSync(file, content);
      fdatasyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(beside, path);
  } catch (error) {
    rmSync(beside, { force: true });
    throw error;
  }
  syncFolder(dirname(path));
}
