import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterwards, type Scope } from './afterwards.ts';

/** A folder for one test, which takes it along. */
export function temporaryFolder(t: Scope): string {
  const path = mkdtempSync(join(tmpdir(), 'kittiwake-test-'));
  afterwards(t, () => rmSync(path, { recursive: true, force: true }));
  return path;
}
