import { readdir, readFile, readlink, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { BuildFailure } from '../failure.ts';
import { ignoreFiles, ignoreRules } from './ignore.ts';
import { compareBytes, type SourceTree, TreeBuilder, type TreeLimits } from './tree.ts';

/** Reads a folder of this machine, without what its .dockerignore or .funcignore leaves out. */
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
      else if (entry.isSymbolicLink()) builder.addSymlink(path, await readlink(full));
      else if (entry.isFile()) {
        const { size, mode } = await stat(full);
        builder.reserve(path, size);
        builder.addFile(path, await readFile(full), (mode & 0o100) !== 0);
      }
    }
  };
  await visit('');
  const tree = builder.finish();
  if (tree.size === 0) throw new BuildFailure('SourceNotFound', `the folder ${folder} has no files to build`);
  return tree;
}

async function list(folder: string, inner: string) {
  try {
    return await readdir(join(folder, inner), { withFileTypes: true });
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (inner !== '' || (code !== 'ENOENT' && code !== 'ENOTDIR')) throw error;
    const what = code === 'ENOENT' ? 'there is no folder' : 'this is not a folder:';
    throw new BuildFailure('SourceNotFound', `${what} ${folder}`, { cause: error });
  }
}

async function readIgnoreRules(folder: string): Promise<(path: string) => boolean> {
  for (const name of ignoreFiles) {
    const text = await readFile(join(folder, name), 'utf8').catch(() => undefined /* there is none */);
    if (text !== undefined) return ignoreRules(text);
  }
  return ignoreRules('');
}
