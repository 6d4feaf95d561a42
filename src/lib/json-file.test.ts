import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { readJsonFile, readJsonFileAsync, writeJsonFile, writeJsonFileAsync } from './json-file.ts';

test('a value is read back as it was written, and what is no JSON file of ours is none', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'kittiwake-json-'));
  try {
    const path = join(folder, 'f.json');
    const value = { a: [1, 'é', null], b: { c: false } };
    writeJsonFile(path, value, { mode: 0o600 });
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.deepEqual([readJsonFile(path), await readJsonFileAsync(path)], [value, value]);
    await writeJsonFileAsync(path, [], { mustLast: false });
    assert.deepEqual([readJsonFile(path), await readJsonFileAsync(path)], [[], []]);
    const damaged = join(folder, 'damaged.json');
    writeFileSync(damaged, '{"a":');
    mkdirSync(join(folder, 'folder.json'));
    for (const none of [damaged, join(folder, 'folder.json'), join(folder, 'none.json'), join(path, 'none.json')]) {
      assert.deepEqual([readJsonFile(none), await readJsonFileAsync(none)], [undefined, undefined], none);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
