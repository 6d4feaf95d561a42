import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { VirtualClock } from '../../../lib/virtual-clock.ts';
import { silentLogger } from '../../../observe/log.ts';
import { openTestRegistry, type TestRegistry } from '../testing/test-images.ts';
import { Files } from './files.ts';
import { type ImageSource, ImageStore, type ImageStoreOptions } from './store.ts';

describe('the image store', () => {
  let registry: TestRegistry;
  let dir: string;
  let files: Files;
  let clock: VirtualClock;
  let blobs: string[];

  before(async () => {
    registry = await openTestRegistry();
  });
  after(() => registry.stop());
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'kittiwake-images-'));
    clock = new VirtualClock();
    files = new Files(clock);
    blobs = [];
  });
  afterEach(async () => {
    await files.close();
    rmSync(dir, { recursive: true, force: true });
  });

  /** The registry, with what is asked of it written down. */
  const counting = (): ImageSource => ({
    resolve: (reference) => registry.client.resolve(reference),
    manifest: (reference) => registry.client.manifest(reference),
    blob: (reference, digest) => {
      blobs.push(digest);
      return registry.client.blob(reference, digest);
    },
  });

  const open = (options: Partial<ImageStoreOptions> = {}) =>
    ImageStore.open({ dir, source: counting(), files, clock, log: silentLogger, ...options });

  test('an image is pulled once, layers that images share are too, and another store finds them on disk', async () => {
    const store = await open();
    const shared = { shared: 'base' };
    const [first, second] = [await registry.push([shared, { a: '1' }]), await registry.push([shared, { b: '2' }])];
    const [one, again] = await Promise.all([store.pull(first), store.pull(first)]);
    assert.equal(one, again);
    assert.equal(blobs.length, 3);
    const two = await store.pull(second);
    assert.equal(blobs.length, 5);
    assert.equal(two.layers[0]?.path, one.layers[0]?.path);
    assert.equal(readFileSync(join(two.layers[0]?.path ?? '', 'shared'), 'utf8'), 'base');
    assert.deepEqual((await open()).find(first), one);
  });

  test('a tag is asked for again only when it must be fresh', async () => {
    const store = await open();
    const reference = (await registry.push([{ a: '1' }])).replace(/@.*/, ':latest');
    assert.equal(store.find(reference), undefined);
    const image = await store.pull(reference);
    assert.equal(store.find(reference), image);
    assert.equal(store.find(reference, true), undefined);
    assert.equal(await store.pull(reference, true), image);
  });

  test('content that is not what its digest says is refused, and leaves nothing behind', async () => {
    const reference = await registry.push([{ a: '1' }]);
    const lying: ImageSource = {
      ...counting(),
      async blob(of, digest) {
        const chunks = await (await registry.client.blob(of, digest)).toArray();
        return Readable.from([Buffer.concat(chunks).fill(0x20, 5, 6)]);
      },
    };
    await assert.rejects((await open({ source: lying })).pull(reference), /came with the content of/);
    assert.deepEqual(readdirSync(join(dir, 'layers')), []);
    assert.ok((await (await open()).pull(reference)).layers.length === 1);
  });

  test('what an agent left half done is forgotten', async () => {
    const reference = await registry.push([{ a: '1' }]);
    const { layers } = await (await open()).pull(reference);
    writeFileSync(join(layers[0]?.path ?? '', '../layer.json'), '{"dig');
    assert.equal((await open()).find(reference), undefined);
    assert.deepEqual(readdirSync(join(dir, 'layers')), []);
    await (await open()).pull(reference);
  });

  test('images that nobody uses go when the cache is over its size, the longest unused first', async () => {
    const store = await open({ maxCacheBytes: 250 });
    const images = [];
    for (const name of ['a', 'b', 'c', 'd']) {
      images.push(await store.pull(await registry.push([{ [name]: name.repeat(100) }])));
      await clock.advance(1_000);
    }
    const [a, b, c, d] = images.map((image) => image.digest);
    store.find(`registry.localhost/x@${b}`);
    assert.deepEqual(await store.collect(new Set([a ?? ''])), [c, d]);
    assert.equal(store.sizeBytes(), 200);
    assert.equal(readdirSync(join(dir, 'layers')).length, 2);
  });

  test('an image that is not there says which, and what the registry said', async () => {
    await assert.rejects(
      (await open()).pull('registry.localhost/no/such:thing'),
      /failed to pull image "registry.localhost\/no\/such:thing": .*404/,
    );
  });
});
