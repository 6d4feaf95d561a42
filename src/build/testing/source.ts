import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SourceFolder } from '../source/source.ts';
import { writeInlineFiles } from '../source/writer.ts';

/** For tests: a source with these files, which is there until `use` has ended. */
export function withSource<T>(files: Record<string, string>, use: (source: SourceFolder) => T): T {
  const dir = mkdtempSync(join(tmpdir(), 'kw-source-'));
  const remove = () => rmSync(dir, { recursive: true, force: true });
  let result: T | undefined;
  try {
    result = use(writeInlineFiles(files, join(dir, 'source')));
    return result instanceof Promise ? (result.finally(remove) as T) : result;
  } finally {
    if (!(result instanceof Promise)) remove();
  }
}
