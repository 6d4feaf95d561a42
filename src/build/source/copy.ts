import { constants, copyFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { SourceFolder } from './source.ts';

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
