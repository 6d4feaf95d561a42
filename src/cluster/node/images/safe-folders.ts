import { lstatSync, mkdirSync, unlinkSync } from 'node:fs';
import { shown } from './contained-path.ts';
import type { PathIn } from './layer-writer.ts';

/** Where names that differ in case are the same, one must not hide another from the checks below. */
const isCaseSensitive = process.platform === 'linux';
const keyOf = (folder: string) => (isCaseSensitive ? folder : folder.normalize('NFC').toLowerCase());

/** Makes the folders of entries, each once, and makes sure that none of them is a link. */
export class SafeFolders {
  readonly #at: PathIn;
  /** How many may be made without an entry of their own. */
  readonly #implicitMax: number;
  readonly #known = new Set<string>(['']);
  /** Made because something is in them; the layer has not said what they are like. */
  readonly implicit = new Set<string>();

  constructor(at: PathIn, implicitMax: number) {
    this.#at = at;
    this.#implicitMax = implicitMax;
  }

  /** With what is above it; `entry` is the name that asks for it. */
  ensure(folder: string, entry: string): void {
    const key = keyOf(folder);
    if (this.#known.has(key)) return;
    const cut = folder.lastIndexOf('/');
    this.ensure(cut < 0 ? '' : folder.slice(0, cut), entry);
    const path = this.#at(folder);
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (found?.isSymbolicLink()) {
      throw new Error(`the entry ${shown(entry)} leads through the link ${shown(folder)}: it is refused`);
    }
    if (found && !found.isDirectory()) unlinkSync(path);
    if (!found?.isDirectory()) {
      mkdirSync(path, { mode: 0o755 });
      this.implicit.add(folder);
      if (this.implicit.size > this.#implicitMax)
        throw new Error(`the layer has more than ${this.#implicitMax} entries`);
    }
    this.#known.add(key);
  }

  /** The folder itself is an entry: what stands in its place and is none goes, also a link. */
  make(folder: string): void {
    const key = keyOf(folder);
    this.implicit.delete(folder);
    if (this.#known.has(key)) return;
    const path = this.#at(folder);
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (found && !found.isDirectory()) unlinkSync(path);
    if (!found?.isDirectory()) mkdirSync(path, { mode: 0o755 });
    this.#known.add(key);
  }

  /** Like `ensure`, but the folder must be there. */
  check(folder: string, entry: string): void {
    if (this.#known.has(keyOf(folder))) return;
    if (!lstatSync(this.#at(folder), { throwIfNoEntry: false })?.isDirectory()) {
      throw new Error(`the entry ${shown(entry)} refers to ${shown(folder)}, which is no folder of the layer`);
    }
    this.ensure(folder, entry);
  }

  /** An entry took the place of a folder: look again before writing below it. */
  forget(name: string): void {
    const key = keyOf(name);
    // What was no folder had none in it: mostly there is nothing to look for.
    if (!this.#known.has(key)) return;
    for (const folder of this.#known) {
      if (folder === key || folder.startsWith(`${key}/`)) this.#known.delete(folder);
    }
    for (const folder of this.implicit) {
      if (folder === name || folder.startsWith(`${name}/`)) this.implicit.delete(folder);
    }
  }
}
