import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { bootId } from '../../../lib/boot-id.ts';
import { VirtualClock } from '../../../lib/virtual-clock.ts';
import { silentLogger } from '../../../observe/log.ts';
import { digestOf, mediaTypes } from '../../../registry/index.ts';
import { openTestRegistry, type TestRegistry, tarOf } from '../testing/test-images.ts';
import { Files } from './files.ts';
import { type ImageSource, ImageStore, type ImageStoreOptions } from './store.ts';
import { syncedMark } from './sync-tree.ts';

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
    assert.equal(two.layers[0]?.root, one.layers[0]?.root);
    assert.equal(readFileSync(join(two.layers[0]?.root ?? '', 'shared'), 'utf8'), 'base');
    assert.deepEqual((await open()).find(first), one);
  });

  test('a tag leads to the same image for the next store, however it is written', async () => {
    const reference = (await registry.push([{ a: 'tagged' }])).replace(/@.*/, '');
    const image = await (await open()).pull(reference);
    assert.deepEqual((await open()).find(`${reference}:latest`), image);
    writeFileSync(join(dir, 'tags'), '[["x"],5,["a","b"]]');
    assert.equal((await open()).find(reference), undefined);
  });

  test('folders that a layer only passes through stay as lower layers have them', async () => {
    const store = await open({ policy: { maxCacheBytes: 0 } });
    const base = {
      'a/': { type: 'directory' as const, mode: 0o711 },
      'a/b/': { type: 'directory' as const, mode: 0o700 },
    };
    const image = await store.pull(await registry.push([base, { 'a/b/file': '1' }]));
    assert.equal(image.layers.length, 3);
    const top = image.layers.at(-1)?.root ?? '';
    assert.deepEqual([statSync(join(top, 'a')).mode & 0o777, statSync(join(top, 'a/b')).mode & 0o777], [0o711, 0o700]);
    const again = await store.pull(await registry.push([base, { 'a/b/other': '2' }]));
    assert.equal(again.layers.at(-1)?.root, top);
    assert.equal((await store.pull(await registry.push([base, { 'c/file': '3' }]))).layers.length, 2);
    assert.deepEqual((await open()).find(`registry.localhost/x@${image.digest}`)?.layers, image.layers);
    await store.collect(new Set());
    assert.deepEqual(readdirSync(join(dir, 'layers')), []);
  });

  test('a tag is asked for again only when it must be fresh', async () => {
    const store = await open();
    const reference = (await registry.push([{ a: '1' }])).replace(/@.*/, ':latest');
    assert.equal(store.find(reference), undefined);
    const image = await store.pull(reference);
    assert.equal(store.find(reference), image);
    assert.equal(store.find(reference, true), undefined);
    assert.equal(await store.pull(reference, { isFresh: true }), image);
  });

  test('the base of our own images is pulled only for whoever needs it, and stays as long as the image', async () => {
    const store = await open({ policy: { maxCacheBytes: 0 } });
    const Labels = { 'dev.kittiwake.runtime': 'node24', 'dev.kittiwake.base-layers': '1' };
    const reference = await registry.push([{ libc: 'large' }, { app: 'mine' }], { Labels });
    const image = await store.pull(reference);
    assert.deepEqual([image.layers.length, image.base.length, blobs.length], [1, 1, 2]);
    const whole = await store.whole(reference, image);
    assert.deepEqual([whole.layers.length, whole.base.length, blobs.length], [2, 0, 3]);
    assert.equal(readFileSync(join(whole.layers[0]?.root ?? '', 'libc'), 'utf8'), 'large');
    assert.equal(whole.layers[1], image.layers[0]);
    await store.collect(new Set([image.digest]));
    await store.whole(reference, (await open()).find(reference) ?? image);
    assert.equal(blobs.length, 3, 'another store finds it on disk');
    await store.collect(new Set());
    assert.deepEqual(readdirSync(join(dir, 'layers')), []);
  });

  for (const said of ['-1', 'x', '1.5', '99']) {
    test(`an image that says it has ${said} layers of base is pulled all the same`, async () => {
      const Labels = { 'dev.kittiwake.runtime': 'node24', 'dev.kittiwake.base-layers': said };
      const store = await open();
      const reference = await registry.push([{ app: said }], { Labels });
      const { layers } = await store.whole(reference, await store.pull(reference));
      assert.equal(layers.length, 1);
    });
  }

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
    writeFileSync(join(layers[0]?.root ?? '', '../layer.json'), '{"dig');
    assert.equal((await open()).find(reference), undefined);
    assert.deepEqual(readdirSync(join(dir, 'layers')), []);
    await (await open()).pull(reference);
  });

  test('images that nobody uses go when the cache is over its size, the longest unused first', async () => {
    const store = await open({ policy: { maxCacheBytes: 250 } });
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
      /failed to pull and unpack image "registry.localhost\/no\/such:thing": .*404/,
    );
  });

  for (const [what, config, expected] of [
    ['null', null, /it is missing|it is null: must be an object/],
    ['a list', [], /must be an object/],
    ['a text', 'x', /must be an object/],
    ['no JSON', '{', /not JSON/],
    ['without a system', { architecture: 'amd64' }, /os is missing: must be a text/],
    ['for a system of a number', { os: 5, architecture: 'amd64' }, /os is 5: must be a text/],
    ['with a config that is a list', { config: [] }, /config is \[\]: must be an object/],
    ['with Env: {}', { config: { Env: {} } }, /config\.Env is \{\}: must be a list of texts/],
    ['with Env of numbers', { config: { Env: ['A=b', 5] } }, /config\.Env\[1\] is 5: must be a text/],
    ['with WorkingDir: 5', { config: { WorkingDir: 5 } }, /config\.WorkingDir is 5: must be a text/],
    [
      'with Entrypoint: "text"',
      { config: { Entrypoint: 'text' } },
      /config\.Entrypoint is "text": must be a list of texts/,
    ],
    ['with a Cmd of numbers', { config: { Cmd: [1] } }, /config\.Cmd\[0\] is 1: must be a text/],
    [
      'with ExposedPorts as a list',
      { config: { ExposedPorts: ['80'] } },
      /config\.ExposedPorts is \["80"\]: must be an object/,
    ],
    ['with a User that is an object', { config: { User: { id: 5 } } }, /config\.User is \{"id":5\}: must be a text/],
    ['with Labels of lists', { config: { Labels: { a: [] } } }, /config\.Labels\[a\] is \[\]: must be a text/],
    ['with a StopSignal of a number', { config: { StopSignal: 9 } }, /config\.StopSignal is 9: must be a text/],
    ['with a history that is none', { history: 'x' }, /history is "x": must be a list/],
    ['with diff_ids of none', { rootfs: { diff_ids: ['x'] } }, /rootfs\.diff_ids\[0\] is "x": must be a digest/],
    ['with too few diff_ids', { rootfs: { diff_ids: [] } }, /rootfs\.diff_ids lists 0 layers, the manifest 1/],
  ] as const) {
    test(`a configuration that is ${what} is an error that names the image and the field`, async () => {
      const whole =
        typeof config === 'object' && config !== null && !Array.isArray(config) && !('architecture' in config);
      const base = { os: 'linux', architecture: 'amd64', rootfs: { diff_ids: [`sha256:${'0'.repeat(64)}`] } };
      const text = config === '{' ? config : JSON.stringify(whole ? { ...base, ...config } : config);
      const reference = await pushConfig(text);
      const store = await open();
      await assert.rejects(store.pull(reference), (error: Error) => {
        assert.ok(error.message.includes(`failed to pull and unpack image "${reference}": `), error.message);
        assert.match(error.message, expected);
        return true;
      });
    });
  }

  test('a configuration whose fields are null is one without them', async () => {
    const nulls = { Env: null, Cmd: null, Entrypoint: null, WorkingDir: null, Labels: null, ExposedPorts: null };
    const diffIds = { rootfs: { diff_ids: [digestOf(await tarOf({ a: '1' }))] } };
    const config = { os: 'linux', architecture: 'amd64', config: nulls, history: null, ...diffIds };
    const image = await (await open()).pull(await pushConfig(JSON.stringify(config)));
    assert.deepEqual([image.config.env, image.config.workingDir], [[], '/']);
  });

  /** An image of one layer with this configuration. */
  async function pushConfig(text: string, times = 1): Promise<string> {
    const blob = (content: Buffer, mediaType: string) => ({
      descriptor: { mediaType, digest: digestOf(content), size: content.length },
      content,
    });
    const config = blob(Buffer.from(text), mediaTypes.config);
    const layer = blob(await tarOf({ a: '1' }), mediaTypes.layerTar);
    const layers = Array.from({ length: times }, () => layer.descriptor);
    const manifest = { schemaVersion: 2 as const, mediaType: mediaTypes.manifest, config: config.descriptor, layers };
    const digest = await registry.client.push('registry.localhost/config:x', { manifest, blobs: [config, layer] });
    return `registry.localhost/config@${digest}`;
  }

  test('a layer that a pull has found is not collected under its hands', async () => {
    const shared = { shared: 'x'.repeat(100) };
    const first = await registry.push([shared, { a: 'a'.repeat(100) }]);
    const second = await registry.push([shared, { b: '2' }]);
    const other = (await registry.client.manifest(second)).manifest.layers?.[1]?.digest;
    const reached = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    const slow: ImageSource = {
      ...counting(),
      async blob(reference, digest) {
        if (digest === other) {
          reached.resolve();
          await goOn.promise;
        }
        return registry.client.blob(reference, digest);
      },
    };
    const store = await open({ source: slow, policy: { maxCacheBytes: 0 } });
    await store.pull(first);
    const pulling = store.pull(second);
    await reached.promise; // The shared layer is found, the other one under way.
    assert.equal((await store.collect(new Set())).length, 1);
    goOn.resolve();
    const image = await pulling;
    assert.equal(readFileSync(join(image.layers[0]?.root ?? '', 'shared'), 'utf8'), shared.shared);
    assert.equal((await store.collect(new Set())).length, 1);
    assert.deepEqual(readdirSync(join(dir, 'layers')), []);
  });

  test('a pull that comes while layers are collected gets all of them, whenever it comes', async () => {
    const shared = { shared: 'x'.repeat(100) };
    const first = await registry.push([shared, { a: 'a'.repeat(100) }]);
    const second = await registry.push([shared, { b: '2' }]);
    for (let turns = 0; turns < 40; turns++) {
      const store = await open({ policy: { maxCacheBytes: 0 } });
      await store.pull(first);
      const collecting = store.collect(new Set());
      for (let turn = 0; turn < turns; turn++) {
        await (turn % 2 === 0 ? Promise.resolve() : new Promise((resolve) => setImmediate(resolve)));
      }
      const image = await store.pull(second);
      await collecting;
      assert.equal(readFileSync(join(image.layers[0]?.root ?? '', 'shared'), 'utf8'), shared.shared, String(turns));
      await store.collect(new Set());
      assert.deepEqual(readdirSync(join(dir, 'layers')), [], String(turns));
    }
  });

  for (const [what, damage] of Object.entries<string>({
    'half a file': '{"dig',
    nothing: '',
    null: 'null',
    'a number': '5',
    'an object without fields': '{}',
    'a path that leads out': JSON.stringify({
      digest: 'DIGEST',
      whiteouts: ['../x'],
      opaques: [],
      implicit: [],
      sizeBytes: 1,
      bootId: 'BOOT',
    }),
    'another digest': JSON.stringify({
      digest: `sha256:${'0'.repeat(64)}`,
      whiteouts: [],
      opaques: [],
      implicit: [],
      sizeBytes: 1,
      bootId: 'BOOT',
    }),
    'fields of other kinds': JSON.stringify({
      digest: 'DIGEST',
      whiteouts: {},
      opaques: 5,
      sizeBytes: 'x',
      config: [],
      layers: {},
    }),
  })) {
    test(`a layer or an image of which the disk has ${what} is pulled again`, async () => {
      const reference = await registry.push([{ a: '1' }]);
      const { layers, digest } = await (await open()).pull(reference);
      const layer = layers[0];
      const fill = (of: string) => damage.replace('DIGEST', of).replace('BOOT', bootId());
      writeFileSync(join(dir, `${digest.slice('sha256:'.length)}.json`), fill(digest));
      const reopened = await open();
      assert.equal(reopened.find(reference), undefined);
      await reopened.pull(reference);
      writeFileSync(join(layer?.root ?? '', '../layer.json'), fill(layer?.digest ?? ''));
      const again = await open();
      assert.equal(again.find(reference), undefined);
      assert.deepEqual(readdirSync(join(dir, 'layers')), []);
      await again.pull(reference);
    });
  }

  test('a layer outlives the run of the machine only once it is synced', async () => {
    const reference = await registry.push([{ 'a/b': '1' }]);
    const store = await open();
    const [layer] = (await store.pull(reference)).layers;
    const record = join(layer?.root ?? '', '../layer.json');
    const reboot = () => writeFileSync(record, readFileSync(record, 'utf8').replace(bootId(), 'before'));
    await store.sync();
    reboot();
    assert.ok((await open()).find(reference));
    rmSync(join(record, '..', syncedMark));
    assert.equal((await open()).find(reference), undefined);
    assert.deepEqual(readdirSync(join(dir, 'layers')), []);
  });

  test('what a pull that failed has left is collected, and what one under way has is not', async () => {
    const store = await open();
    const reference = await registry.push([{ a: 'whole' }, { b: 'x'.repeat(3000) }]);
    const { layers = [] } = (await registry.client.manifest(reference)).manifest;
    const source: ImageSource = {
      ...counting(),
      async blob(of, digest) {
        if (digest === layers[1]?.digest) throw new Error('the registry is away');
        return registry.client.blob(of, digest);
      },
    };
    const failing = await open({ source });
    await assert.rejects(failing.pull(reference), /the registry is away/);
    assert.equal(readdirSync(join(dir, 'layers')).length, 1);
    await failing.collect(new Set());
    assert.deepEqual(readdirSync(join(dir, 'layers')), []);
    assert.equal((await store.pull(reference)).layers.length, 2);
    await store.collect(new Set());
    assert.equal(readdirSync(join(dir, 'layers')).length, 2);
  });

  test('a full disk is freed of what nobody uses, but not of what has just come', async () => {
    const disk = async () => ({ capacityBytes: 10_000, availableBytes: 1_900 });
    const store = await open({ disk });
    const first = await store.pull(await registry.push([{ a: 'a'.repeat(100) }]));
    const second = await store.pull(await registry.push([{ b: 'b'.repeat(100) }]));
    assert.deepEqual(await store.collect(new Set()), [], '81 % is not 85');
    const fuller = await open({ disk: async () => ({ capacityBytes: 10_000, availableBytes: 1_450 }) });
    assert.deepEqual(await fuller.collect(new Set([second.digest])), []);
    await clock.advance(120_000);
    assert.deepEqual(await fuller.collect(new Set([second.digest])), [first.digest]);
    assert.equal(readdirSync(join(dir, 'layers')).length, 1);
  });

  test('a layer whose names are no text is synced, too', async () => {
    const store = await open();
    const [layer] = (await store.pull(await registry.push([{ a: '1' }]))).layers;
    const root = layer?.root ?? '';
    writeFileSync(Buffer.concat([Buffer.from(`${root}/`), Buffer.from([0xff])]), 'x');
    await store.sync();
    assert.ok(readdirSync(join(root, '..')).includes(syncedMark));
  });

  test('an image of more layers than anybody makes is refused', async () => {
    const config = JSON.stringify({ os: 'linux', architecture: 'amd64' });
    const reference = await pushConfig(config, 513);
    await assert.rejects((await open()).pull(reference), /more than 512 layers/);
  });

  test('work on files that never ends is given up, and the next gets a thread of its own', async () => {
    const stuck = files.copy({ layers: [], cache: undefined, target: join(dir, 'never') });
    const late = assert.rejects(stuck, /did not end within 10 minutes/);
    await clock.advance(600_000);
    await late;
    await files.copy({ layers: [], cache: undefined, target: join(dir, 'copy') });
  });
});
