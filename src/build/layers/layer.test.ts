import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { extract } from 'tar-stream';
import { digestOf } from '../../registry/index.ts';
import { layerInFile, layerOf, treeEntries } from './layer.ts';
import { type TarEntry, tarEnd, tarEntry } from './tar.ts';

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
      assert.deepEqual(await read(Buffer.concat([...plain.map(tarEntry), tarEnd])), plain);
    }),
    { numRuns: 200 },
  );
});

test('a layer has its folders before their files, whatever the order of the tree', async () => {
  const file = (text: string) => ({ type: 'file' as const, content: Buffer.from(text), isExecutable: false });
  const a = new Map([
    ['b.js', file('1')],
    ['lib/a.js', file('2')],
    ['lib/deep/c.js', file('3')],
  ]);
  const b = new Map([...a].reverse());
  const paths = treeEntries(a, 'app').map((item) => item.path);
  assert.deepEqual(paths, ['app', 'app/b.js', 'app/lib', 'app/lib/a.js', 'app/lib/deep', 'app/lib/deep/c.js']);
  assert.deepEqual(
    (await layerOf(treeEntries(a, 'app'), 'x')).descriptor,
    (await layerOf(treeEntries(b, 'app'), 'x')).descriptor,
  );
});

test('a layer made in memory and one made in a file have the same digests', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'kw-layer-'));
  try {
    const entries: TarEntry[] = Array.from({ length: 50 }, (_, i) => ({
      type: 'file',
      path: `app/${i}.js`,
      content: Buffer.from(`line ${i}\n`.repeat(i * 40)),
      isExecutable: i % 2 === 0,
    }));
    const memory = await layerOf(entries, 'x');
    const filed = await layerInFile(
      (async function* () {
        yield* entries;
      })(),
      join(dir, 'layer'),
      'x',
    );
    assert.deepEqual(filed.descriptor, memory.descriptor);
    assert.equal(filed.diffId, memory.diffId);
    assert.equal(digestOf(gunzipSync(memory.content as Buffer)), memory.diffId);
  } finally {
    await rm(dir, { recursive: true });
  }
});

test('an error while entries are read is the error of the layer', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'kw-layer-'));
  try {
    // biome-ignore lint/correctness/useYield: it fails before it has anything to give
    const broken = (async function* (): AsyncGenerator<TarEntry> {
      throw new Error('unreadable');
    })();
    await assert.rejects(layerInFile(broken, join(dir, 'layer'), 'x'), /unreadable/);
  } finally {
    await rm(dir, { recursive: true });
  }
});
