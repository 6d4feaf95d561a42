import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openDataDir } from './data-dir.ts';
import { holderOf } from './holder.ts';

function withFolder(body: (dataDir: string) => void): void {
  const dataDir = mkdtempSync(join(tmpdir(), 'kittiwake-data-'));
  try {
    body(dataDir);
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
}

test('a data folder is private, knows its format, and is held by one process at a time', () =>
  withFolder((dataDir) => {
    const first = openDataDir(dataDir);
    assert.equal(statSync(dataDir).mode & 0o777, 0o700);
    assert.match(readFileSync(join(dataDir, 'version'), 'utf8'), /^\d+\n$/);
    assert.equal(holderOf(dataDir)?.pid, process.pid);
    assert.throws(() => openDataDir(dataDir), {
      code: 'DATA_DIR_IN_USE',
      message: new RegExp(`process ${process.pid}`),
    });
    first.release();
    assert.equal(holderOf(dataDir)?.pid, undefined);
    openDataDir(dataDir).release();
  }));

test('a folder of a later format, or of none that can be read, is refused and left alone', () =>
  withFolder((dataDir) => {
    for (const format of ['99', 'garbage']) {
      writeFileSync(join(dataDir, 'version'), format);
      assert.throws(() => openDataDir(dataDir), {
        code: 'DATA_DIR_TOO_NEW',
        message: new RegExp(`has format ${format}`),
      });
      assert.equal(readFileSync(join(dataDir, 'version'), 'utf8'), format);
    }
  }));
