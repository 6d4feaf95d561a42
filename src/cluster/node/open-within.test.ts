import assert from 'node:assert/strict';
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { openWithin, pathOf } from './open-within.ts';

describe('a place in a folder that others write to', { skip: process.platform !== 'linux' && 'Linux' }, () => {
  let dir: string;
  let folder: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'kittiwake-within-'));
    folder = join(dir, 'volume');
    mkdirSync(folder, { mode: 0o777 });
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  test('stays what it was when it was opened', async () => {
    mkdirSync(join(folder, 'a/b'), { recursive: true });
    writeFileSync(join(folder, 'a/b/file'), 'inside');
    writeFileSync(join(dir, 'file'), 'outside');
    const opened = await openWithin(folder, 'a/b');
    try {
      renameSync(join(folder, 'a'), join(folder, 'moved'));
      symlinkSync('..', join(folder, 'a'));
      assert.equal(readFileSync(`${pathOf(opened)}/file`, 'utf8'), 'inside');
    } finally {
      await opened.close();
    }
    const file = await openWithin(folder, 'moved/b/file');
    assert.equal(readFileSync(pathOf(file), 'utf8'), 'inside');
    await file.close();
  });

  test('is not reached through a link, or below a file', async () => {
    mkdirSync(join(dir, 'outside'));
    symlinkSync('../outside', join(folder, 'link'));
    writeFileSync(join(folder, 'file'), '');
    for (const inner of ['link', 'link/deep', 'file/deep']) {
      await assert.rejects(openWithin(folder, inner, { makes: true }), { name: 'LeadsOutError' });
    }
    symlinkSync('volume', join(dir, 'other'));
    await assert.rejects(openWithin(join(dir, 'other'), 'x', { makes: true }), /ELOOP|ENOTDIR/);
    assert.deepEqual(readdirSync(join(dir, 'outside')), []);
    assert.ok(lstatSync(join(folder, 'link')).isSymbolicLink());
  });

  test('is made with the mode of the folder it is in, or is missing', async () => {
    await assert.rejects(openWithin(folder, 'a/b'), { code: 'ENOENT' });
    const before = process.umask(0o077);
    try {
      await (await openWithin(folder, 'a/b', { makes: true })).close();
    } finally {
      process.umask(before);
    }
    assert.equal(statSync(join(folder, 'a/b')).mode & 0o777, statSync(folder).mode & 0o777);
  });

  test('is never elsewhere, however often it is swapped meanwhile', async () => {
    mkdirSync(join(dir, 'outside'));
    mkdirSync(join(folder, 'real'));
    writeFileSync(join(folder, 'real/mark'), '');
    symlinkSync('../outside', join(folder, 'fake'));
    renameSync(join(folder, 'real'), join(folder, 'x'));
    let isSwapping = true;
    const swapping = (async () => {
      for (let i = 0; isSwapping && i < 20_000; i++) {
        renameSync(join(folder, 'x'), join(folder, 'real'));
        renameSync(join(folder, 'fake'), join(folder, 'x'));
        await new Promise((resolve) => setImmediate(resolve));
        renameSync(join(folder, 'x'), join(folder, 'fake'));
        renameSync(join(folder, 'real'), join(folder, 'x'));
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    const seen = { inside: 0, refused: 0 };
    for (let i = 0; i < 200; i++) {
      try {
        const opened = await openWithin(folder, 'x');
        assert.deepEqual(readdirSync(pathOf(opened)), ['mark']);
        await opened.close();
        seen.inside++;
      } catch (error) {
        if (!/LeadsOut|ENOENT/.test(String(error))) throw error;
        seen.refused++;
      }
    }
    isSwapping = false;
    await swapping;
    assert.equal(seen.inside + seen.refused, 200);
  });
});
