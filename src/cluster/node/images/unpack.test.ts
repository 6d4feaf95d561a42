import assert from 'node:assert/strict';
import {
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
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { digestOf } from '../../../registry/index.ts';
import { type TestLayer, tarOf } from '../testing/test-images.ts';
import { mergeLayers } from './merge.ts';
import { containedPath, unpackLayer } from './unpack.ts';

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
    return { target, ...(await unpackLayer({ blobPath, mediaType, target, ...options })) };
  }

  for (const [what, layer] of Object.entries<TestLayer>({
    'a name that climbs': { '../outside': 'x' },
    'a name that climbs in the middle': { 'a/../../outside': 'x' },
    'a name that leads through a link': { way: { type: 'symlink', linkname: '..' }, 'way/outside': 'x' },
    'a name that leads through an absolute link': { way: { type: 'symlink', linkname: '/tmp' }, 'way/outside': 'x' },
    'a hard link to a file outside': { 'a/': { type: 'directory' }, 'a/b': { type: 'link', linkname: '../outside' } },
    'a hard link through a link': {
      way: { type: 'symlink', linkname: '/etc' },
      stolen: { type: 'link', linkname: 'way/hostname' },
    },
  })) {
    test(`${what} is refused, and nothing is written outside`, async () => {
      await assert.rejects(unpack(layer), /refused|no folder of the layer|no file of the same layer/);
      assert.equal(existsSync(join(dir, 'outside')), false);
    });
  }

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
    assert.equal(existsSync(join(target, 'pipe')), false);
    assert.equal(sizeBytes, 9);
  });

  test('a layer that is larger than allowed, or has too many entries, is refused', async () => {
    await assert.rejects(unpack({ big: 'x'.repeat(100) }, { maxBytes: 99 }), /larger than 99 bytes/);
    await assert.rejects(unpack({ a: '', b: '', c: '' }, { maxEntries: 2 }), /more than 2 entries/);
  });

  test('content other than the configuration promises is refused', async () => {
    const right = digestOf(await tarOf({ a: 'x' }));
    await unpack({ a: 'x' }, { diffId: right });
    await assert.rejects(unpack({ a: 'y' }, { diffId: right }), /promises/);
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
        blobPath: `${target}.blob`,
        mediaType,
        diffId: undefined,
        target,
        maxBytes: 1e6,
        maxEntries: 9,
      };
      await assert.rejects(unpackLayer(options));
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
    const layers = [lower, upper].map(({ target, whiteouts, opaques }) => ({ path: target, whiteouts, opaques }));
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
    const layers = [lower, upper].map(({ target, whiteouts, opaques }) => ({ path: target, whiteouts, opaques }));
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
