import { constants } from 'node:fs';
import { access, lstat, open, readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../../lib/errors.ts';
import { BuildFailure } from '../failure.ts';
import { ignoreFiles, ignoreRules, isAlwaysIgnored } from './ignore.ts';
import { compareBytes, type SourceFolder, type SourceLimits, SourceList } from './source.ts';

/** Rules of more bytes were not written by anybody. */
const ignoreBytesMax = 1 << 20;

/** Lists a folder of this machine, without what its .dockerignore or .funcignore leaves out. */
export async function localSource(folder: string, limits?: SourceLimits): Promise<SourceFolder> {
  const isIgnored = await readIgnoreRules(folder);
  // A folder that is left out may still hold a file that is taken back, so only those that never count are skipped.
  const isLeftOut = (path: string, isFolder: boolean) => (isFolder ? isAlwaysIgnored(path) : isIgnored(path));
  const source = await listFolder(folder, isLeftOut, limits);
  if (source.entries.size === 0) throw new BuildFailure('SourceNotFound', `the folder ${folder} has no files to build`);
  return source;
}

/**
 * Lists the files and links of a folder but for those that are left out. Sockets, pipes and devices are no source and
 * are left out, too: nothing is waited for.
 */
export async function listFolder(
  root: string,
  isLeftOut: (path: string, isFolder: boolean) => boolean,
  limits?: SourceLimits,
): Promise<SourceFolder> {
  const list = new SourceList(limits);
  const visit = async (inner: string): Promise<void> => {
    const entries = await readEntries(root, inner);
    for (const entry of entries.sort((a, b) => compareBytes(a.name, b.name))) {
      const path = inner === '' ? entry.name : `${inner}/${entry.name}`;
      const full = join(root, path);
      if (isLeftOut(path, entry.isDirectory())) continue;
      if (entry.isDirectory()) await visit(path);
      else if (entry.isSymbolicLink()) list.addSymlink(path, await readlink(full).catch(unreadable(path)));
      else if (entry.isFile()) {
        await access(full, constants.R_OK).catch(unreadable(path));
        const { size, mode } = await lstat(full).catch(unreadable(path));
        list.reserve(path, size);
        list.addFile(path, size, (mode & 0o100) !== 0);
      }
    }
  };
  await visit('');
  return { root, entries: list.entries() };
}

/** What the system says of a path that cannot be read, with what to do; what we refuse ourselves says it already. */
function unreadable(path: string): (error: unknown) => never {
  return (error) => {
    if (error instanceof BuildFailure) throw error;
    const remedy = 'make it readable, or leave it out (.dockerignore)';
    const why = `${JSON.stringify(path)} cannot be read: ${messageOf(error)}: ${remedy}`;
    throw new BuildFailure('SourceInvalid', why, { cause: error });
  };
}

async function readEntries(folder: string, inner: string) {
  try {
    return await readdir(join(folder, inner), { withFileTypes: true });
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (inner !== '' || (code !== 'ENOENT' && code !== 'ENOTDIR')) return unreadable(inner)(error);
    const what = code === 'ENOENT' ? 'there is no folder' : 'this is not a folder:';
    throw new BuildFailure('SourceNotFound', `${what} ${folder}`, { cause: error });
  }
}

async function readIgnoreRules(folder: string): Promise<(path: string) => boolean> {
  for (const name of ignoreFiles) {
    const text = await readSmallFile(join(folder, name), name).catch((error) => {
      if (error instanceof BuildFailure) throw error;
      return undefined; // There is none that can be read.
    });
    if (text !== undefined) return ignoreRules(text);
  }
  return isAlwaysIgnored;
}

/** Undefined when it is no regular file: nothing is waited for. */
async function readSmallFile(path: string, name: string): Promise<string | undefined> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  try {
    const stat = await file.stat();
    if (!stat.isFile()) return undefined;
    if (stat.size > ignoreBytesMax) {
      throw new BuildFailure('SourceInvalid', `${name} has ${stat.size} bytes: write fewer rules`);
    }
    return await file.readFile('utf8');
  } finally {
    await file.close();
  }
}
