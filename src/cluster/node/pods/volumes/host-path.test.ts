import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { hostPathSource } from './host-path.ts';

describe('a path of the machine as a volume', () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'kittiwake-host-path-'));
    mkdirSync(join(dir, 'folder'));
    writeFileSync(join(dir, 'file'), '');
    symlinkSync('folder', join(dir, 'link'));
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  const source = (name: string, type?: string) =>
    hostPathSource({ path: join(dir, name), ...(type === undefined ? {} : { type }) }, 'v');

  for (const [name, type] of [
    ['folder', undefined],
    ['folder', ''],
    ['folder', 'Directory'],
    ['link', 'Directory'],
    ['folder', 'DirectoryOrCreate'],
    ['file', 'File'],
    ['file', 'FileOrCreate'],
  ] as const) {
    test(`${name} can be mounted as ${type ?? 'what it is'}`, async () => {
      assert.equal(await source(name, type), join(dir, name));
    });
  }

  for (const [name, type, noun] of [
    ['folder', 'File', 'file'],
    ['folder', 'FileOrCreate', 'file'],
    ['file', 'Directory', 'directory'],
    ['file', 'DirectoryOrCreate', 'directory'],
    ['none', 'Directory', 'directory'],
    ['none', 'File', 'file'],
    ['file', 'Socket', 'socket file'],
    ['file', 'CharDevice', 'character device'],
    ['file', 'BlockDevice', 'block device'],
  ] as const) {
    test(`${name} is refused as ${type}`, async () => {
      const why = `hostPath type check failed: ${join(dir, name)} is not a ${noun}`;
      await assert.rejects(source(name, type), { message: `MountVolume.SetUp failed for volume "v" : ${why}` });
      assert.equal(existsSync(join(dir, 'none')), false);
    });
  }

  test('what is not there is made where the type says so, or says nothing', async () => {
    await source('a/b', 'DirectoryOrCreate');
    await source('c', 'FileOrCreate');
    await source('d/e');
    assert.ok(statSync(join(dir, 'a/b')).isDirectory());
    assert.ok(statSync(join(dir, 'c')).isFile());
    assert.ok(statSync(join(dir, 'd/e')).isDirectory());
  });

  test('a path that is none, or a type that there is not, is refused', async () => {
    await assert.rejects(hostPathSource({ path: 'relative' }, 'v'), /must be an absolute path/);
    await assert.rejects(hostPathSource({ path: '/a/../etc' }, 'v'), /without '\.\.'/);
    await assert.rejects(source('folder', 'constructor'), /constructor is an invalid volume type/);
    await assert.rejects(source('file/below'), /cannot be looked at: ENOTDIR/);
  });
});
