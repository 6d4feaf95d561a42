import assert from 'node:assert/strict';
import { truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { extract } from 'tar-stream';
import { temporaryFolder } from '../../lib/testing/temporary-folder.ts';
import { digestOf } from '../../registry/index.ts';
import { sourceDigest } from '../source/source.ts';
import { withSource } from '../testing/source.ts';
import { layerInFile, layerOf, sourceEntries } from './layer.ts';
import { type TarEntry, tarOf } from './tar.ts';

const segment = fc.oneof(
  fc.stringMatching(/^[a-zA-Z0-9._-]{1,40}$/),
  fc.string({ minLength: 1, maxLength: 60, unit: 'grapheme' }),
);
const path = fc
  .array(segment, { minLength: 1, maxLength: 8 })
  .map((parts) => parts.map((part) => part.replace(/[/\0]/g, '_')).join('/'))
  .filter((text) => !text.split('/').some((part) => part === '.' || part === '..'));
const content = fc.uint8Array({ maxLength: 1500 }).map((bytes) => Buffer.from(bytes));
const entry: fc.Arbitrary<TarEntry> = fc.oneof(
  fc.record({ type: fc.constant('file' as const), path, content, isExecutable: fc.boolean() }),
  fc.record({ type: fc.constant('symlink' as const), path, target: path }),
  fc.record({ type: fc.constant('folder' as const), path }),
);

async function read(archive: Buffer): Promise<TarEntry[]> {
  const reader = extract();
  reader.end(archive);
  const found: TarEntry[] = [];
  for await (const item of reader) {
    const { name, type, linkname, mode, mtime, uid, gid } = item.header;
    assert.deepEqual([mtime?.getTime(), uid, gid], [0, 0, 0]);
    const chunks: Buffer[] = [];
    for await (const chunk of item) chunks.push(chunk as Buffer);
    if (type === 'file') {
      found.push({ type, path: name, content: Buffer.concat(chunks), isExecutable: mode === 0o755 });
    } else if (type === 'symlink') found.push({ type, path: name, target: linkname ?? '' });
    else found.push({ type: 'folder', path: name.replace(/\/$/, '') });
  }
  return found;
}

test('what is written to an archive is read back by another reader', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(entry, { maxLength: 6 }), async (entries) => {
      const plain = entries.map((item) => ({ ...item }));
      assert.deepEqual(await read(Buffer.concat([...tarOf(plain)])), plain);
    }),
    { numRuns: 200 },
  );
});

test('a layer has its folders before their files, whatever the order of the source', async () => {
  const files = { 'b.js': '1', 'lib/a.js': '2', 'lib/deep/c.js': '3' };
  const reversed = Object.fromEntries(Object.entries(files).reverse());
  const layer = (order: Record<string, string>) =>
    withSource(order, async (source) => {
      const paths = sourceEntries(source, 'app').map((item) => item.path);
      assert.deepEqual(paths, ['app', 'app/b.js', 'app/lib', 'app/lib/a.js', 'app/lib/deep', 'app/lib/deep/c.js']);
      return (await layerOf(sourceEntries(source, 'app'), 'x')).descriptor;
    });
  assert.deepEqual(await layer(files), await layer(reversed));
});

test('the bytes of a layer are those that were always made of its source: caches stay good', async () => {
  const files = {
    'index.js': 'export const handle = () => 1;\n',
    'bin/run': '#!/bin/sh\necho hi\n',
    'empty.txt': '',
    [`deep/${'long-name-'.repeat(12)}/${'x'.repeat(60)}.txt`]: 'a path for ustar and PAX',
    'größe/ümlaut.js': 'beyond ASCII',
    'data.bin': Array.from({ length: 40_000 }, (_, i) => (i * 2_654_435_761) % 4_294_967_296).join('\n'),
  };
  await withSource(files, async (source) => {
    const entries = new Map([...source.entries, ['link.js', { type: 'symlink' as const, target: 'index.js' }]]);
    const { root } = source;
    const layer = await layerOf(sourceEntries({ root, entries }, 'app'), 'x');
    assert.equal(layer.diffId, 'sha256:cf603e3ee76e4f94ca5db2a5ba745513f3bdd3c0b1536ccf37c39c3dbdf7d48e');
    const filed = await layerInFile(sourceEntries({ root, entries }, 'app'), join(root, '..', 'layer'), 'x');
    assert.deepEqual([filed.diffId, filed.descriptor], [layer.diffId, layer.descriptor]);
    assert.equal(
      sourceDigest({ root, entries }),
      'sha256:6cdbc38b01b48016191f18d552a9780ac208f4752d51c3e421f7875db0c66ba4',
    );
  });
});

test('a layer made in memory and one made in a file have the same digests', async (t) => {
  const dir = temporaryFolder(t);
  const entries: TarEntry[] = Array.from({ length: 50 }, (_, i) => ({
    type: 'file',
    path: `app/${i}.js`,
    content: Buffer.from(`line ${i}\n`.repeat(i * 40)),
    isExecutable: i % 2 === 0,
  }));
  const memory = await layerOf(entries, 'x');
  const filed = await layerInFile(entries, join(dir, 'layer'), 'x');
  assert.deepEqual(filed.descriptor, memory.descriptor);
  assert.equal(filed.diffId, memory.diffId);
  assert.equal(digestOf(gunzipSync(memory.content as Buffer)), memory.diffId);
});

test('a file of any size goes through memory in small pieces', async () => {
  await withSource({ 'big.bin': '' }, async ({ root }) => {
    const sizeBytes = 64 * 1024 * 1024;
    await truncate(join(root, 'big.bin'), sizeBytes);
    const entries = new Map([['big.bin', { type: 'file' as const, sizeBytes, isExecutable: false }]]);
    let totalBytes = 0;
    for (const chunk of tarOf(sourceEntries({ root, entries }, 'app'))) {
      assert.ok(chunk.length <= 256 * 1024, `${chunk.length}`);
      totalBytes += chunk.length;
    }
    // Two heads, the content, and the end of the archive.
    assert.equal(totalBytes, sizeBytes + 4 * 512);
  });
});

test('an error while entries are read is the error of the layer', async (t) => {
  const dir = temporaryFolder(t);
  // biome-ignore lint/correctness/useYield: it fails before it has anything to give
  const broken = (function* (): Generator<TarEntry> {
    throw new Error('unreadable');
  })();
  await assert.rejects(layerInFile(broken, join(dir, 'layer'), 'x'), /unreadable/);
});
