import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';

const always = ['/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin', '/bin'];

/**
 * Where the programs of the system are: the `PATH` of whoever started us, and what may be missing there for root, as
 * after `su` on Debian.
 */
export function systemPath(path = process.env.PATH ?? ''): string {
  return [...new Set([...path.split(':'), ...always].filter((folder) => folder.startsWith('/')))].join(':');
}

/** The path of a program of the system; undefined when there is none. */
export function findProgram(name: string, path = systemPath()): string | undefined {
  for (const folder of path.split(':')) {
    const found = join(folder, name);
    try {
      accessSync(found, constants.X_OK);
      return found;
    } catch {
      // Not in this one.
    }
  }
  return undefined;
}
