import { closeSync, mkdirSync, openSync, rmSync, symlinkSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { messageOf } from '../../lib/errors.ts';
import { BuildFailure } from '../failure.ts';
import { type SourceFolder, type SourceLimits, SourceList } from './source.ts';

/**
 * Writes a source into a new folder, a file at a time and in pieces, as it comes. Nothing that comes is trusted: links
 * are made when all files are there, so that none is written through one.
 */
export class SourceWriter {
  readonly list: SourceList;
  readonly #root: string;
  readonly #folders = new Set<string>();
  /** Of files that were written. */
  readonly #written = new Set<string>();

  constructor(root: string, limits?: SourceLimits) {
    this.#root = root;
    this.list = new SourceList(limits);
    mkdirSync(root, { recursive: true });
  }

  /** Begins a file; what is given to `write` is its content, and `end` must follow. */
  file(path: string, sizeBytes: number, isExecutable: boolean): { write(chunk: Buffer): void; end(): void } {
    this.list.addFile(path, sizeBytes, isExecutable);
    const full = join(this.#root, path);
    const file = this.#attempt(path, () => {
      this.#makeFolder(dirname(full));
      // Some file systems do not tell A.js from a.js: the second would be written into the first.
      return openSync(full, this.#written.has(path) ? 'w' : 'wx', isExecutable ? 0o755 : 0o644);
    });
    this.#written.add(path);
    return {
      write(chunk) {
        for (let at = 0; at < chunk.length; ) at += writeSync(file, chunk, at);
      },
      end: () => closeSync(file),
    };
  }

  wholeFile(path: string, content: Buffer, isExecutable: boolean): void {
    const file = this.file(path, content.length, isExecutable);
    try {
      file.write(content);
    } finally {
      file.end();
    }
  }

  finish(): SourceFolder {
    const entries = this.list.entries();
    for (const [path, entry] of entries) {
      if (entry.type !== 'symlink') continue;
      const full = join(this.#root, path);
      this.#attempt(path, () => {
        if (this.#written.has(path)) rmSync(full);
        this.#makeFolder(dirname(full));
        symlinkSync(entry.target, full);
      });
    }
    return { root: this.#root, entries };
  }

  #makeFolder(folder: string): void {
    if (this.#folders.has(folder)) return;
    mkdirSync(folder, { recursive: true });
    this.#folders.add(folder);
  }

  /** What the file system says of a name is the source's fault; of anything else (no space), it is not. */
  #attempt<T>(path: string, write: () => T): T {
    try {
      return write();
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : '';
      if (!/^(EEXIST|ENOTDIR|EISDIR|ENAMETOOLONG|EILSEQ|EINVAL)$/.test(code)) throw error;
      const shown = path.length > 200 ? `${path.slice(0, 200)}…` : path;
      const message = `this machine cannot have a file ${JSON.stringify(shown)} in the source: ${code}: rename it`;
      throw new BuildFailure('SourceInvalid', message, { cause: messageOf(error) });
    }
  }
}

/** Writes the files that stand in the Build itself. */
export function writeInlineFiles(files: Record<string, string>, folder: string): SourceFolder {
  const writer = new SourceWriter(folder);
  for (const [path, text] of Object.entries(files)) {
    const content = Buffer.from(text, 'utf8');
    writer.list.reserve(path, content.length);
    writer.wholeFile(path.replace(/^\.\//, ''), content, text.startsWith('#!'));
  }
  return writer.finish();
}
