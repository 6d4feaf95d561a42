import assert from 'node:assert/strict';
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { type VolumeFile, writeAtomically } from './atomic-writer.ts';

describe('a volume whose files change all at once', () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'kittiwake-atomic-'));
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  const file = (path: string, text: string, mode = 0o644): VolumeFile => ({ path, content: Buffer.from(text), mode });
  const write = (...files: VolumeFile[]) => writeAtomically(dir, files, { nowMs: 0 });
  const text = (path: string) => readFileSync(join(dir, path), 'utf8');

  test('shows links through ..data to a folder named by the time', async () => {
    assert.equal(await write(file('level', 'high'), file('deep/er/name', 'x')), true);
    const version = readlinkSync(join(dir, '..data'));
    assert.match(version, /^\.\.1970_01_01_00_00_00\.\d+$/);
    assert.deepEqual(readdirSync(dir).sort(), ['..data', version, 'deep', 'level'].sort());
    assert.equal(readlinkSync(join(dir, 'level')), '..data/level');
    assert.equal(readlinkSync(join(dir, 'deep')), '..data/deep');
    assert.deepEqual([text('level'), text('deep/er/name')], ['high', 'x']);
  });

  test('is written only when something of it is new', async () => {
    await write(file('a', '1'));
    const version = readlinkSync(join(dir, '..data'));
    assert.equal(await write(file('a', '1')), false);
    assert.equal(readlinkSync(join(dir, '..data')), version);
    assert.equal(await write(file('a', '2')), true);
    assert.notEqual(readlinkSync(join(dir, '..data')), version);
    assert.equal(text('a'), '2');
  });

  test('loses the files that are no more, and the version before', async () => {
    await write(file('a', '1'), file('b/c', '1'), file('b/d', '1'));
    await write(file('b/c', '1'), file('e', '1'));
    assert.deepEqual(
      readdirSync(dir).filter((name) => !name.startsWith('..')),
      ['b', 'e'],
    );
    assert.deepEqual(readdirSync(join(dir, 'b')), ['c']);
    assert.equal(readdirSync(dir).filter((name) => name.startsWith('..1970')).length, 1);
    await write();
    assert.deepEqual(
      readdirSync(dir).filter((name) => !name.startsWith('..')),
      [],
    );
  });

  test('stays the same folder, so that whoever has it mounted sees the change', async () => {
    await write(file('a', '1'));
    const { ino } = statSync(dir);
    await write(file('a', '2'));
    assert.equal(statSync(dir).ino, ino);
  });

  test('has exactly the modes that were asked for, whatever the umask', async () => {
    const before = process.umask(0o077);
    try {
      await write(file('a', '1', 0o644), file('deep/b', '1', 0o400));
    } finally {
      process.umask(before);
    }
    assert.equal(statSync(join(dir, 'a')).mode & 0o7777, 0o644);
    assert.equal(statSync(join(dir, 'deep/b')).mode & 0o7777, 0o400);
    assert.equal(statSync(join(dir, 'deep')).mode & 0o7777, 0o755);
  });

  const superuser = { skip: process.getuid?.() !== 0 && 'only the superuser gives files away' };
  test('belongs to the fsGroup, whose members can read it', superuser, async () => {
    await writeAtomically(dir, [file('deep/a', '1', 0o400), { ...file('b', '1', 0o600), uid: 1234 }], {
      nowMs: 0,
      fsGroup: 4321,
    });
    const [a, b, deep] = ['deep/a', 'b', 'deep'].map((path) => statSync(join(dir, path)));
    assert.deepEqual([a?.gid, (a?.mode ?? 0) & 0o777, a?.uid], [4321, 0o440, 0]);
    assert.deepEqual([b?.gid, (b?.mode ?? 0) & 0o777, b?.uid], [4321, 0o640, 1234]);
    assert.deepEqual([deep?.gid, (deep?.mode ?? 0) & 0o7777], [4321, 0o2775]);
  });

  test('is not written through what a container has put there', async () => {
    const outside = join(dir, 'outside');
    mkdirSync(outside);
    symlinkSync(outside, join(dir, 'v'));
    for (const plant of ['..data', '..data_tmp', 'a', 'deep']) {
      const volume = join(dir, `volume-${plant.replaceAll('.', '')}`);
      mkdirSync(volume);
      symlinkSync(outside, join(volume, plant));
      await writeAtomically(volume, [file('a', '1'), file('deep/b', '1')], { nowMs: 0 });
      assert.equal(readFileSync(join(volume, 'a'), 'utf8'), '1');
      assert.ok(lstatSync(join(volume, 'deep')).isSymbolicLink());
    }
    assert.deepEqual(readdirSync(outside), []);
  });

  test('shows one version as a whole to whoever opens the folder behind ..data', async () => {
    await write(file('a', '0'), file('b', '0'));
    let isWriting = true;
    const writing = (async () => {
      for (let i = 1; i <= 50; i++) await write(file('a', `${i}`), file('b', `${i}`));
      isWriting = false;
    })();
    while (isWriting) {
      const version = readlinkSync(join(dir, '..data'));
      try {
        const [a, b] = [text(`${version}/a`), text(`${version}/b`)];
        assert.equal(a, b);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error; // The next version has come already.
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    await writing;
    assert.equal(text('a'), '50');
  });
});
