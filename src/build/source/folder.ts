import { constants } from 'node:fs';
import { open, readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../../lib/errors.ts';
import { BuildFailure } from '../failure.ts';
import { ignoreFiles, ignoreRules } from './ignore.ts';
import { compareBytes, type SourceTree, TreeBuilder, type TreeLimits } from './tree.ts';

/** Rules of more bytes were not written by anybody. */
const ignoreBytesMax = 1 << 20;

/**
 * Reads a folder of this machine, without what its .dockerignore or .funcignore leaves out. Sockets, pipes and devices
 * are no source and are left out, too: nothing is waited for.
 */
export async function treeOfFolder(folder: string, limits?: TreeLimits): Promise<SourceTree> {
  const isIgnored = await readIgnoreRules(folder);
  const builder = new TreeBuilder(limits);
  const visit = async (inner: string): Promise<void> => {
    const entries = await list(folder, inner);
    for (const entry of entries.sort((a, b) => compareBytes(a.name, b.name))) {
      const path = inner === '' ? entry.name : `${inner}/${entry.name}`;
      const full = join(folder, path);
      // A folder that is left out may still hold a file that is taken back, so only those that never count are skipped.
      if (entry.isDirectory()) {
        if (!ignoreRules('')(path)) await visit(path);
      } else if (isIgnored(path)) continue;
      else if (entry.isSymbolicLink()) builder.addSymlink(path, await readlink(full).catch(unreadable(path)));
      else if (entry.isFile()) {
        const reserve = (sizeBytes: number) => builder.reserve(path, sizeBytes);
        const file = await readRegularFile(full, reserve).catch(unreadable(path));
        if (file) builder.addFile(path, file.content, file.isExecutable);
      }
    }
  };
  await visit('');
  const tree = builder.finish();
  if (tree.size === 0) throw new BuildFailure('SourceNotFound', `the folder ${folder} has no files to build`);
  return tree;
}

/**
 * The file as long as it was when it was opened: one that others go on writing, such as a log, has no end to wait for.
 * Undefined when it is no regular file any more. `reserve` is asked before anything is read.
 */
async function readRegularFile(path: string, reserve: (sizeBytes: number) => void) {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  try {
    const stat = await file.stat();
    if (!stat.isFile()) return undefined;
    reserve(stat.size);
    const content = Buffer.allocUnsafe(stat.size);
    let length = 0;
    while (length < content.length) {
      const { bytesRead } = await file.read(content, length, content.length - length, length);
      if (bytesRead === 0) break; // It is shorter by now.
      length += bytesRead;
    }
    return { content: content.subarray(0, length), isExecutable: (stat.mode & 0o100) !== 0 };
  } finally {
    await file.close();
  }
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

async function list(folder: string, inner: string) {
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
    const reserve = (sizeBytes: number) => {
      if (sizeBytes > ignoreBytesMax)
        throw new BuildFailure('SourceInvalid', `${name} has ${sizeBytes} bytes: write fewer rules`);
    };
    const file = await readRegularFile(join(folder, name), reserve).catch((error) => {
      if (error instanceof BuildFailure) throw error;
      return undefined; // There is none that can be read.
    });
    if (file) return ignoreRules(file.content.toString('utf8'));
  }
  return ignoreRules('');
}
