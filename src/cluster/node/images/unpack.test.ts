import assert from 'node:assert/strict';
import {
  createReadStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { digestOf } from '../../../registry/index.ts';
import { type TestLayer, tarOf } from '../testing/test-images.ts';
import { containedPath } from './contained-path.ts';
import { mergeLayers } from './merge.ts';
import { unpackLayer } from './unpack.ts';

describe('unpacking a layer', () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'kittiwake-unpack-'));
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  async function unpack(layer: TestLayer, more: { diffId?: string; maxBytes?: number; maxEntries?: number } = {}) {
    const target = join(dir, `layer-${readdirSync(dir).length}`);
    mkdirSync(target);
    const blobPath = `${target}.blob`;
    writeFileSync(blobPath, gzipSync(await tarOf(layer)));
    const mediaType = 'application/vnd.oci.image.layer.v1.tar+gzip';
    const options = { diffId: undefined, maxBytes: 1e6, maxEntries: 100, ...more };
    return { target, ...(await unpackLayer(createReadStream(blobPath), { mediaType, target, ...options })) };
  }

  for (const [what, layer] of Object.entries<TestLayer>({
    'a name that climbs': { '../outside': 'x' },
    'a name that climbs in the middle': { 'a/../../outside': 'x' },
    'a name that leads through a link': { way: { type: 'symlink', linkname: '..' }, 'way/outside': 'x' },
    'a name that leads through an absolute link': { way: { type: 'symlink', linkname: '/tmp' }, 'way/outside': 'x' },
    'a hard link to a file outside': { 'a/': { type: 'directory' }, 'a/b': { type: 'link', linkname: '../outside' } },
    'a whiteout of the folder above': { '.wh...': '' },
    'a whiteout of the folder above, deeper': { 'a/.wh...': '' },
    'a whiteout of its own folder': { 'a/.wh..': '' },
    'a whiteout of nothing': { '.wh.': '' },
    'a whiteout that is a folder': { 'a/.wh.../': { type: 'directory' } },
    'a name beyond what a path can be': { [`${'d/'.repeat(3000)}f`]: 'x' },
    'a hard link that leads nowhere': { a: { type: 'link' } },
    'a link that leads nowhere': { a: { type: 'symlink' } },
    'a hard link through a link': {
      way: { type: 'symlink', linkname: '/etc' },
      stolen: { type: 'link', linkname: 'way/hostname' },
    },
  })) {
    test(`${what} is refused, and nothing is written outside`, async () => {
      await assert.rejects(
        unpack(layer),
        /refused|no folder of the layer|no file of the same layer|too many bytes|leads nowhere/,
      );
      assert.equal(
        readdirSync(dir).every((name) => name.startsWith('layer-')),
        true,
      );
      assert.equal(existsSync(join(dir, 'outside')), false);
    });
  }

  test('what AUFS kept for itself is left out, and a hard link to itself changes nothing', async () => {
    const self = { type: 'link' as const, linkname: './a/b' };
    const { target, whiteouts, opaques } = await unpack({
      '.wh..wh.plnk': '',
      'c/.wh..wh..opq': '',
      'a/b': 'x',
      './/a/b': self,
    });
    assert.deepEqual([whiteouts, opaques], [[], ['c']]);
    assert.equal(readFileSync(join(target, 'a/b'), 'utf8'), 'x');
    assert.deepEqual(readdirSync(target).sort(), ['a', 'c']);
  });

  test('a whiteout that leads out is not followed where it is used either', async () => {
    const kept = join(dir, 'kept');
    writeFileSync(kept, '');
    const { target } = await unpack({ a: '' });
    for (const [whiteouts, opaques] of [
      [['../kept'], []],
      [['..'], []],
      [[], ['..']],
    ]) {
      const layers = [{ root: target, whiteouts: whiteouts ?? [], opaques: opaques ?? [] }];
      assert.throws(() => mergeLayers(layers, join(dir, 'merged')), /leads out/);
    }
    mergeLayers([{ root: target, whiteouts: ['', '.'], opaques: [] }], join(dir, 'merged'));
    assert.ok(existsSync(kept));
  });

  test('a link in the place of a folder hides what is written below it from the checks no longer', async () => {
    const layer = { 'a/one': '1', a: { type: 'symlink' as const, linkname: '..' }, 'a/outside': 'x' };
    await assert.rejects(unpack(layer), /leads through the link "a"/);
  });

  /** A tar's 512-byte header, with a checksum that is right whatever is in it. */
  function header(fields: {
    name?: string;
    size?: string | Buffer;
    mtime?: string;
    type?: string;
    magic?: string;
  }): Buffer {
    const block = Buffer.alloc(512);
    block.write(fields.name ?? 'a', 0);
    block.write('000644 ', 100);
    Buffer.from(fields.size ?? '00000000000 ').copy(block, 124);
    block.write(fields.mtime ?? '00000000000 ', 136);
    block.write(fields.type ?? '0', 156);
    block.write(fields.magic ?? 'ustar\x0000', 257, 'latin1');
    block.fill(0x20, 148, 156);
    const sum = block.reduce((total, byte) => total + byte, 0);
    block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
    return block;
  }

  /** Minus sixteen, as GNU tar writes numbers that are not octal. */
  const belowNothing = Buffer.from('fffffffffffffffffffffff0', 'hex');

  const unknownNotation = Buffer.from('810000000000000000000000', 'hex');

  async function unpackRaw(bytes: Buffer, more: { maxBytes?: number } = {}) {
    const target = join(dir, `layer-${readdirSync(dir).length}`);
    mkdirSync(target);
    const blobPath = `${target}.blob`;
    writeFileSync(blobPath, bytes);
    const mediaType = 'application/vnd.oci.image.layer.v1.tar';
    const options = { mediaType, target, diffId: undefined, maxBytes: 1e6, maxEntries: 100, ...more };
    return unpackLayer(createReadStream(blobPath), options);
  }

  for (const [what, blocks, expected] of [
    ['a size below nothing', [header({ size: belowNothing })], /has the size/],
    ['a size of an unknown notation', [header({ size: unknownNotation })], /has the size/],
    ['a link with such a size', [header({ type: '2', size: unknownNotation })], /has the size/],
    ['an extended header of such a size', [header({ type: 'x', size: unknownNotation }), header({})], /has the size/],
    ['a long name of such a size', [header({ type: 'L', size: unknownNotation }), header({})], /has the size/],
    ['a size that is no number', [header({ size: 'zzzzzzzzzzzz' })], /has the size/],
    ['an exabyte of a hole', [header({ size: Buffer.from('800000000004000000000000', 'hex') })], /larger than/],
    ['a sparse file', [header({ type: 'S' })], /type that is not supported/],
    ['an extended header below nothing', [header({ type: 'x', size: belowNothing }), header({})], /has the size/],
    ['an extended header of no number', [header({ type: 'x', size: 'zzzzzzzzzzzz' }), header({})], /has the size/],
    ['an extended header of a gigabyte', [header({ type: 'x', size: '07777777777 ' })], /max size/],
    ['a long name below nothing', [header({ type: 'L', size: belowNothing }), header({})], /has the size/],
  ] as const) {
    test(`${what} is refused, and nobody waits for it`, async () => {
      await assert.rejects(unpackRaw(Buffer.concat([...blocks, Buffer.alloc(2048)])), expected);
    });
  }

  test('a time that there is not is left out', async () => {
    await unpackRaw(Buffer.concat([header({ mtime: '77777777777 ' }), header({ name: 'b', mtime: 'zzzzzzzzzzz ' })]));
  });

  test('zeros without end are refused', async () => {
    await assert.rejects(unpackRaw(Buffer.alloc(70 * 1024 * 1024)), /larger than \d+ bytes when decompressed/);
  });

  test('whatever the bytes are, a layer is unpacked or refused, and nothing is outside', async () => {
    const whole = await tarOf({
      'a/': { type: 'directory' },
      'a/b': 'x'.repeat(700),
      c: { type: 'symlink', linkname: 'a' },
      '.wh.d': '',
    });
    const edit = fc.record({ at: fc.nat(whole.length - 1), byte: fc.nat(255) });
    await fc.assert(
      fc.asyncProperty(fc.array(edit, { maxLength: 6 }), fc.boolean(), async (edits, isSummed) => {
        const bytes = Buffer.from(whole);
        for (const { at, byte } of edits) bytes[at] = byte;
        // With a right checksum the damage gets further.
        for (let at = 0; isSummed && at + 512 <= bytes.length; at += 512) {
          const block = bytes.subarray(at, at + 512);
          if (block.toString('latin1', 257, 262) !== 'ustar') continue;
          block.fill(0x20, 148, 156);
          const sum = block.reduce((total, value) => total + value, 0);
          block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
        }
        const before = readdirSync(dir).length;
        await unpackRaw(bytes).catch(() => undefined); // Refused: as good as unpacked.
        assert.equal(readdirSync(dir).length, before + 2);
      }),
      { numRuns: 300 },
    );
  });

  test('an absolute name is one of the layer', async () => {
    const { target } = await unpack({ '/etc/app.conf': 'x' });
    assert.equal(readFileSync(join(target, 'etc/app.conf'), 'utf8'), 'x');
  });

  test('files, folders, links, modes and times are those of the layer', async () => {
    const { target, sizeBytes } = await unpack({
      'bin/': { type: 'directory' },
      'bin/run': '#!/bin/sh',
      'bin/again': { type: 'link', linkname: 'bin/run' },
      'bin/other': { type: 'symlink', linkname: 'run' },
      pipe: { type: 'fifo' },
    });
    assert.deepEqual(readdirSync(join(target, 'bin')).sort(), ['again', 'other', 'run']);
    assert.equal(readlinkSync(join(target, 'bin/other')), 'run');
    assert.equal(statSync(join(target, 'bin/run')).mtimeMs, 1_000_000_000_000);
    assert.equal(statSync(join(target, 'pipe')).isFIFO(), true);
    assert.equal(sizeBytes, 9);
  });

  test('a layer that is larger than allowed, or has too many entries, is refused', async () => {
    await assert.rejects(unpack({ big: 'x'.repeat(100) }, { maxBytes: 99 }), /larger than 99 bytes/);
    await assert.rejects(unpack({ a: '', b: '', c: '' }, { maxEntries: 2 }), /more than 2 entries/);
    await assert.rejects(unpack({ 'a/b/c/d': '' }, { maxEntries: 2 }), /more than 2 entries/);
  });

  test('content other than the configuration promises is refused', async () => {
    const right = digestOf(await tarOf({ a: 'x' }));
    await unpack({ a: 'x' }, { diffId: right });
    await assert.rejects(unpack({ a: 'y' }, { diffId: right }), /promises/);
  });

  for (const [what, pack, mediaType] of [
    ['plain', (tar: Buffer) => tar, 'application/vnd.oci.image.layer.v1.tar'],
    ['gzip', gzipSync, 'application/vnd.oci.image.layer.v1.tar+gzip'],
    ['zstd', zstdCompressSync, 'application/vnd.oci.image.layer.v1.tar+zstd'],
    ["Docker's gzip", gzipSync, 'application/vnd.docker.image.rootfs.diff.tar.gzip'],
    ["Docker's plain", (tar: Buffer) => tar, 'application/vnd.docker.image.rootfs.diff.tar'],
    [
      'gzip in parts',
      (tar: Buffer) => Buffer.concat([tar.subarray(0, 700), tar.subarray(700)].map((part) => gzipSync(part))),
      'application/vnd.oci.image.layer.v1.tar+gzip',
    ],
    ['zstd that is called gzip', zstdCompressSync, 'application/vnd.oci.image.layer.v1.tar+gzip'],
  ] as const) {
    test(`a layer that is ${what} is unpacked, however it comes`, async () => {
      const blob = pack(await tarOf({ a: 'x'.repeat(3000), b: 'y' }));
      for (const size of [1, 511, 1_000_000]) {
        const target = join(dir, `${size}`);
        mkdirSync(target);
        const pieces = Array.from({ length: Math.ceil(blob.length / size) }, (_, i) =>
          blob.subarray(i * size, (i + 1) * size),
        );
        const content = (async function* () {
          yield* pieces;
        })();
        await unpackLayer(content, { mediaType, target, diffId: undefined, maxBytes: 1e6, maxEntries: 9 });
        assert.equal(readFileSync(join(target, 'a'), 'utf8'), 'x'.repeat(3000));
        assert.equal(readFileSync(join(target, 'b'), 'utf8'), 'y');
      }
    });
  }

  test('a layer of a type that nobody knows is refused', async () => {
    const mediaType = 'application/vnd.oci.image.layer.v1.tar+gzip+encrypted';
    const options = { mediaType, target: dir, diffId: undefined, maxBytes: 1e6, maxEntries: 9 };
    await assert.rejects(
      unpackLayer(createReadStream('/dev/null'), options),
      /layers of type \S+\+encrypted are not known/,
    );
  });

  test('a truncated or damaged blob is refused', async () => {
    const whole = gzipSync(await tarOf({ a: 'x'.repeat(5000) }));
    for (const [name, bytes] of [
      ['cut', whole.subarray(0, whole.length - 20)],
      ['damaged', Buffer.concat([whole.subarray(0, 30), Buffer.from('garbage'), whole.subarray(30)])],
    ] as const) {
      const target = join(dir, name);
      mkdirSync(target);
      writeFileSync(`${target}.blob`, bytes);
      const mediaType = 'application/vnd.oci.image.layer.v1.tar+gzip';
      const options = {
        mediaType,
        diffId: undefined,
        target,
        maxBytes: 1e6,
        maxEntries: 9,
      };
      await assert.rejects(unpackLayer(createReadStream(`${target}.blob`), options));
    }
  });

  test('layers are merged: later ones replace, white out and hide', async () => {
    const lower = await unpack({ 'a/one': '1', 'a/two': '2', 'b/three': '3', 'c/four': '4', link: 'file' });
    const upper = await unpack({
      'a/.wh.one': '',
      'a/two': 'new',
      'b/.wh..wh..opq': '',
      'b/five': '5',
      '.wh.c': '',
      'link/': { type: 'directory' },
    });
    const layers = [lower, upper].map(({ target, whiteouts, opaques }) => ({ root: target, whiteouts, opaques }));
    mergeLayers(layers, join(dir, 'merged'));
    const files = readdirSync(join(dir, 'merged'), { recursive: true }).sort();
    assert.deepEqual(files, ['a', 'a/two', 'b', 'b/five', 'link']);
    assert.equal(readFileSync(join(dir, 'merged/a/two'), 'utf8'), 'new');
  });

  test('merging never writes through a link of a lower layer', async () => {
    const outside = join(dir, 'outside');
    mkdirSync(outside);
    writeFileSync(join(outside, 'kept'), 'kept');
    const lower = await unpack({ way: { type: 'symlink', linkname: outside } });
    const upper = await unpack({ 'way/kept': 'overwritten', 'way/.wh.other': '', 'way/.wh..wh..opq': '' });
    const layers = [lower, upper].map(({ target, whiteouts, opaques }) => ({ root: target, whiteouts, opaques }));
    mergeLayers(layers, join(dir, 'merged'));
    assert.equal(readFileSync(join(outside, 'kept'), 'utf8'), 'kept');
    assert.equal(readFileSync(join(dir, 'merged/way/kept'), 'utf8'), 'overwritten');
  });

  test('a contained path never climbs, whatever the name', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('a', '..', '.', '', 'b c', '...')), (parts) => {
        let path: string;
        try {
          path = containedPath(parts.join('/'));
        } catch {
          assert.ok(parts.includes('..'));
          return;
        }
        assert.ok(!path.startsWith('/') && !path.split('/').includes('..'));
      }),
    );
  });
});
