import { constants, copyFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { lstat, readdir, readlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { compareBytes, type SourceFolder, SourceList } from './source.ts';

/** Which files of a source a step is given. */
export interface SourcePart {
  paths: readonly string[];
  /** Texts that stand in the place of what some of the files hold. */
  replaced: Readonly<Record<string, string>>;
}

/** Copies the source, or a part of it, into a folder that has nothing in its way. */
export function copySource(source: SourceFolder, folder: string, part?: SourcePart): void {
  const made = new Set<string>();
  mkdirSync(folder, { recursive: true });
  for (const path of part?.paths ?? source.entries.keys()) {
    const entry = source.entries.get(path);
    if (!entry) continue;
    const full = join(folder, path);
    const parent = dirname(full);
    if (!made.has(parent)) mkdirSync(parent, { recursive: true });
    made.add(parent);
    const text = part && Object.hasOwn(part.replaced, path) ? part.replaced[path] : undefined;
    if (entry.type === 'symlink') symlinkSync(entry.target, full);
    else if (text === undefined) copyFileSync(join(source.root, path), full, copyMode);
    else writeFileSync(full, text, { mode: 0o644, flag: 'wx' });
  }
}

/** Where the file system can, both share their blocks until one of them is changed. */
const copyMode = constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE;

/** Lists what a build step made of a folder, without those of its folders that are in `leaveOut`. */
export async function listFolder(folder: string, leaveOut: readonly string[]): Promise<SourceFolder> {
  const list = new SourceList();
  const visit = async (inner: string): Promise<void> => {
    const entries = await readdir(join(folder, inner), { withFileTypes: true });
    for (const entry of entries.sort((a, b) => compareBytes(a.name, b.name))) {
      const path = inner === '' ? entry.name : `${inner}/${entry.name}`;
      if (leaveOut.includes(path)) continue;
      const full = join(folder, path);
      if (entry.isDirectory()) await visit(path);
      else if (entry.isSymbolicLink()) list.addSymlink(path, await readlink(full));
      else if (entry.isFile()) {
        const { size, mode } = await lstat(full);
        list.reserve(path, size);
        list.addFile(path, size, (mode & 0o100) !== 0);
      }
    }
  };
  await visit('');
  return { root: folder, entries: list.entries() };
}
