import { mkdir, readdir, readFile, readlink, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { compareBytes, type SourceTree, TreeBuilder } from './tree.ts';

/** Writes the tree into a folder, which must have nothing in its way. */
export async function writeTree(tree: SourceTree, folder: string): Promise<void> {
  const made = new Set<string>();
  for (const [path, entry] of tree) {
    const full = join(folder, path);
    const parent = dirname(full);
    if (!made.has(parent)) await mkdir(parent, { recursive: true });
    made.add(parent);
    if (entry.type === 'symlink') await symlink(entry.target, full);
    else await writeFile(full, entry.content, { mode: entry.isExecutable ? 0o755 : 0o644, flag: 'wx' });
  }
}

/** Reads back what a build step made of a folder, without those of its folders that are in `leaveOut`. */
export async function readTree(folder: string, leaveOut: readonly string[]): Promise<SourceTree> {
  const builder = new TreeBuilder();
  const visit = async (inner: string): Promise<void> => {
    const entries = await readdir(join(folder, inner), { withFileTypes: true });
    for (const entry of entries.sort((a, b) => compareBytes(a.name, b.name))) {
      const path = inner === '' ? entry.name : `${inner}/${entry.name}`;
      if (leaveOut.includes(path)) continue;
      const full = join(folder, path);
      if (entry.isDirectory()) await visit(path);
      else if (entry.isSymbolicLink()) builder.addSymlink(path, await readlink(full));
      else if (entry.isFile()) {
        const { size, mode } = await stat(full);
        builder.reserve(path, size);
        builder.addFile(path, await readFile(full), (mode & 0o100) !== 0);
      }
    }
  };
  await visit('');
  return builder.finish();
}
