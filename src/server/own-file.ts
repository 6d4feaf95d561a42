import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';

/** A file of this size is none that we wrote. */
const bytesMax = 1 << 20;

/**
 * The text of a small file in the data folder; undefined when there is none. Whatever else stands there (a folder, a
 * pipe, which would be waited for, a file of any size) is an error that names it.
 */
export function readOwnFile(file: string): string | undefined {
  let fd: number;
  try {
    fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    if (code === 'EACCES') throw new Error(`${file} is another user's: choose another data folder with --data-dir`);
    throw error;
  }
  try {
    const stat = fstatSync(fd);
    if (stat.isFile() && stat.size <= bytesMax) return readFileSync(fd, 'utf8');
    const what = stat.isFile() ? `has ${stat.size} bytes` : 'is no file';
    throw new Error(`${file} ${what}: it was not written by kittiwake; remove it`);
  } finally {
    closeSync(fd);
  }
}
