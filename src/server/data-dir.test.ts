import assert from 'node:assert/strict';
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeDataDir, openDataDir } from './data-dir.ts';
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

test("somebody's project is not made a data folder, and is left as it is", () =>
  withFolder((dataDir) => {
    chmodSync(dataDir, 0o755);
    for (const name of ['build', 'logs', 'package.json']) writeFileSync(join(dataDir, name), '');
    const expected = { code: 'DATA_DIR_FOREIGN', message: /holds what is not kittiwake's \(package\.json\)/ };
    assert.throws(() => openDataDir(dataDir), expected);
    assert.throws(() => makeDataDir(dataDir, ['logs']), expected);
    assert.deepEqual(readdirSync(dataDir).toSorted(), ['build', 'logs', 'package.json']);
    assert.equal(statSync(dataDir).mode & 0o777, 0o755);
  }));

test('a data folder stays one with whatever else was put into it, and so does one that has lost its format', () =>
  withFolder((dataDir) => {
    openDataDir(dataDir).release();
    writeFileSync(join(dataDir, 'notes.txt'), '');
    openDataDir(dataDir).release();
    for (const name of ['notes.txt', 'version']) rmSync(join(dataDir, name));
    openDataDir(dataDir).release();
  }));

test('what is no folder is said to be none', () =>
  withFolder((dataDir) => {
    const file = join(dataDir, 'file');
    writeFileSync(file, '');
    assert.throws(() => openDataDir(file), /cannot be used: .*: it is no folder: move it away, or choose another with/);
  }));

test('a data folder that cannot even be looked at is said to be unusable', () =>
  withFolder((dataDir) => {
    const loop = join(dataDir, 'loop');
    symlinkSync('loop', loop);
    assert.throws(() => openDataDir(join(loop, 'x')), /^Error: the data folder .*loop.x cannot be used: ELOOP/);
  }));

test('a data folder of another user is named as such, be it only asked for', { skip: process.getuid?.() === 0 }, () =>
  withFolder((dataDir) => {
    openDataDir(dataDir).release();
    chmodSync(dataDir, 0);
    assert.throws(() => holderOf(dataDir), /run\/pid is another user's: choose another data folder with --data-dir/);
    chmodSync(dataDir, 0o700);
  }),
);
