import { randomBytes } from 'node:crypto';
import { accessSync, constants, lstatSync, mkdirSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, isAbsolute, join, normalize } from 'node:path';

/** A Unix socket's path has at most 108 characters (104 on macOS): a program must have room for its own names. */
const baseMax = 64;
const namePattern = /^kw-[0-9a-f]{12}$/;

/** A path for the temporary folder of one start: short, and one that nobody can guess. Undefined: there is no place. */
export function tempFolderPath(bases: readonly string[] = [tmpdir(), '/tmp']): string | undefined {
  const base = bases.find(isFit);
  return base === undefined ? undefined : join(base, `kw-${randomBytes(6).toString('hex')}`);
}

/** Makes the folder, for this user only; false when something has the name. Never uses what others have put there. */
export function makeTempFolder(path: string): boolean {
  try {
    mkdirSync(path, { mode: 0o700 });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Whether `path` is a folder that `makeTempFolder` may have made: what is written down of it may be damaged. */
export function isTempFolder(path: string): boolean {
  // With a slash at its end a link would be followed.
  if (!isAbsolute(path) || normalize(path) !== path || !namePattern.test(path.slice(path.lastIndexOf('/') + 1)))
    return false;
  const found = lstatSync(path, { throwIfNoEntry: false });
  return found?.isDirectory() === true && found.uid === process.getuid?.();
}

/** Writable, with a short name, and if others may write there, only their own (sticky). */
function isFit(base: string): boolean {
  try {
    if (!isAbsolute(base) || base.length > baseMax || dirname(base) === base) return false;
    const { mode, uid } = statSync(base);
    accessSync(base, constants.W_OK | constants.X_OK);
    return (mode & 0o022) === 0 ? uid === process.getuid?.() || uid === 0 : (mode & 0o1000) !== 0;
  } catch {
    return false; // Not there, or not for us.
  }
}
