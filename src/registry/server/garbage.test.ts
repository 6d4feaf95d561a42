import assert from 'node:assert/strict';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { Mutexes } from '../../lib/mutexes.ts';
import { afterwards } from '../../lib/testing/afterwards.ts';
import { temporaryFolder } from '../../lib/testing/temporary-folder.ts';
import { VirtualClock } from '../../lib/virtual-clock.ts';
import { silentLogger } from '../../observe/log.ts';
import { digestOf } from '../digest.ts';
import { mediaTypes } from '../manifest.ts';
import { collectGarbage } from './garbage.ts';
import { startRegistry } from './registry.ts';
import { Storage } from './storage.ts';
import { requireDigest } from './uploads.ts';

test('what no manifest needs is removed after a day, and what one needs stays', async (t) => {
  const folder = temporaryFolder(t);
  const storage = new Storage(folder);
  const push = async (name: string, text: string) => {
    const path = storage.uploadPath(name, 'x');
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
    const digest = digestOf(text);
    await storage.commitBlob(name, requireDigest(digest), path);
    return { mediaType: mediaTypes.empty, digest, size: text.length };
  };
  const [kept, shared, orphan] = [await push('a', 'kept'), await push('a', 'shared'), await push('a', 'orphan')];
  await storage.mountBlob('b', requireDigest(shared.digest), 'a');
  const manifests: [string, object][] = [
    ['a', kept],
    ['b', shared],
  ];
  for (const [name, config] of manifests) {
    const text = Buffer.from(JSON.stringify({ schemaVersion: 2, config, layers: [] }));
    await storage.writeManifest(name, requireDigest(digestOf(text)), text);
  }
  const has = (name: string, { digest }: { digest: string }) => storage.blobSize(name, requireDigest(digest));
  const dayMs = 24 * 3_600_000;
  const turns = new Mutexes();
  assert.equal((await collectGarbage(storage, { nowMs: Date.now(), graceMs: dayMs, turns })).blobs, 0);
  assert.ok(await has('a', orphan), 'its manifest may still come');
  assert.deepEqual(await collectGarbage(storage, { nowMs: Date.now() + 2 * dayMs, graceMs: dayMs, turns }), {
    manifests: 0,
    blobs: 1,
    bytes: 'orphan'.length,
  });
  assert.deepEqual([await has('a', kept), await has('a', orphan), await has('a', shared)], [4, undefined, undefined]);
  assert.equal(await has('b', shared), 6);
});

test('what a process that was killed has not written to its end is removed after a day', async (t) => {
  const folder = temporaryFolder(t);
  const storage = new Storage(folder);
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, layers: [] }));
  const digest = digestOf(bytes);
  await storage.writeManifest('a/b', requireDigest(digest), bytes);
  await storage.writeTag('a/b', 'v1', digest);
  await storage.addReferrer('a/b', digest, { mediaType: mediaTypes.manifest, digest, size: 2 });
  const kept = await readdir(folder, { recursive: true });
  const folders = new Set(['_manifests/sha256', '_tags', `_referrers/${digest.replace(':', '-')}`]);
  for (const inside of folders) await writeFile(join(folder, 'repositories/a/b', inside, '.half'), 'ha');
  const dayMs = 24 * 3_600_000;
  const sweep = (nowMs: number) => collectGarbage(storage, { nowMs, graceMs: dayMs, turns: new Mutexes() });
  await sweep(Date.now());
  assert.equal((await readdir(folder, { recursive: true })).length, kept.length + folders.size, 'it may be under way');
  await sweep(Date.now() + 2 * dayMs);
  assert.deepEqual((await readdir(folder, { recursive: true })).sort(), kept.sort());
});

test('a manifest goes after a day when no tag, index or subject holds it and nobody outside names it', async (t) => {
  const folder = temporaryFolder(t);
  const storage = new Storage(folder);
  const put = async (manifest: object) => {
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, ...manifest }));
    await storage.writeManifest('a', requireDigest(digestOf(bytes)), bytes);
    return { mediaType: mediaTypes.manifest, digest: digestOf(bytes), size: bytes.length };
  };
  const image = (name: string, more: object = {}) => put({ layers: [], annotations: { name }, ...more });
  const has = async ({ digest }: { digest: string }) => storage.hasManifest('a', requireDigest(digest));
  const sweep = (nowMs: number, inUse?: string[]) =>
    collectGarbage(storage, {
      nowMs,
      graceMs: dayMs,
      turns: new Mutexes(),
      digestsInUse: inUse && (async () => new Set(inUse)),
    });
  const dayMs = 24 * 3_600_000;
  const later = Date.now() + 2 * dayMs;
  const [named, unnamed, child, tagged] = [await image('n'), await image('u'), await image('c'), await image('t')];
  const index = await put({ manifests: [child] });
  const [signature, orphan] = [await image('s', { subject: named }), await image('o', { subject: unnamed })];
  await storage.writeTag('a', 'v1', tagged.digest);
  await storage.writeTag('a', 'all', index.digest);

  assert.equal((await sweep(Date.now(), [])).manifests, 0, 'what names it may still come');
  assert.equal((await sweep(later)).manifests, 0, 'nobody can say what is in use');
  assert.equal((await sweep(later, [named.digest])).manifests, 1);
  assert.equal((await sweep(later, [named.digest])).manifests, 1, 'without its subject, the next goes');
  for (const kept of [named, child, tagged, index, signature]) assert.equal(await has(kept), true);
  assert.deepEqual([await has(unnamed), await has(orphan)], [false, false]);
});

test('a manifest that comes while its repository is swept waits, and finds what the sweep left', async (t) => {
  const folder = temporaryFolder(t);
  const clock = new VirtualClock(Date.now() + 3 * 24 * 3_600_000);
  const asked = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<ReadonlySet<string>>();
  const swept = await startRegistry({
    dir: folder,
    port: 0,
    clock,
    log: silentLogger,
    digestsInUse: () => {
      asked.resolve();
      return answer.promise;
    },
  });
  afterwards(t, () => swept.stop());
  const body = JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.manifest, layers: [] });
  const url = `${swept.url}/v2/a/manifests/${digestOf(body)}`;
  const put = () => fetch(url, { method: 'PUT', body, headers: { 'content-type': mediaTypes.manifest } });
  assert.equal((await put()).status, 201);
  const advanced = clock.advance(60_000);
  await asked.promise;
  const again = put();
  answer.resolve(new Set());
  assert.equal((await again).status, 201);
  await advanced;
  assert.equal((await fetch(url)).status, 200, 'it was put after the old one went');
});
