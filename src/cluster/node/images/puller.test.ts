import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, test } from 'node:test';
import { digestOf, mediaTypes } from '../../../registry/index.ts';
import type { Descriptor } from '../../../registry/manifest.ts';
import { choosePlatform, hostPlatform } from './platform.ts';
import { type ImageSource, pullManifest } from './puller.ts';

const [os = '', architecture = ''] = hostPlatform.split('/');

/** A registry in memory: what is put into it, by its digest. */
class Blobs implements ImageSource {
  readonly #blobs = new Map<string, Buffer>();

  put(content: unknown, mediaType: string, more: Partial<Descriptor> = {}): Descriptor {
    const bytes = Buffer.isBuffer(content) ? content : Buffer.from(JSON.stringify(content));
    const digest = digestOf(bytes);
    this.#blobs.set(digest, bytes);
    return { mediaType, digest, size: bytes.length, ...more };
  }

  /** An image that says it is for `architecture`. */
  image(what: string, more: Partial<Descriptor> = {}): Descriptor {
    const config = { os, architecture, config: { Env: [what] }, rootfs: { type: 'layers', diff_ids: [] } };
    const manifest = { schemaVersion: 2, config: this.put(config, mediaTypes.config), layers: [] };
    return this.put(manifest, mediaTypes.manifest, more);
  }

  index(manifests: Descriptor[], mediaType: string = mediaTypes.index): Descriptor {
    return this.put({ schemaVersion: 2, mediaType, manifests }, mediaType);
  }

  resolve(): Promise<string> {
    throw new Error('nobody asks for a tag');
  }

  async manifest(reference: string) {
    return { bytes: this.#get(reference.slice(reference.indexOf('@') + 1)) };
  }

  async blob(_reference: string, digest: string) {
    return Readable.from([this.#get(digest)]);
  }

  async pulled({ digest }: Descriptor): Promise<string | undefined> {
    return (await pullManifest(this, `registry.example/app@${digest}`, digest)).config.env[0];
  }

  #get(digest: string): Buffer {
    const found = this.#blobs.get(digest);
    if (!found) throw new Error(`404: ${digest}`);
    return found;
  }
}

describe('which image of an index is pulled', () => {
  const here = { os, architecture };

  for (const type of [mediaTypes.index, mediaTypes.dockerIndex]) {
    test(`of ${type}, that of this machine`, async () => {
      const blobs = new Blobs();
      const other = blobs.image('other', { platform: { os, architecture: 'riscv64' } });
      const windows = blobs.image('windows', { platform: { os: 'windows', architecture } });
      assert.equal(
        await blobs.pulled(blobs.index([other, windows, blobs.image('ours', { platform: here })], type)),
        'ours',
      );
    });
  }

  test('one that says nothing of platforms is taken when no other fits, and attestations never', async () => {
    const blobs = new Blobs();
    const attestation = blobs.image('attestation', { platform: { os: 'unknown', architecture: 'unknown' } });
    const silent = blobs.image('silent');
    assert.equal(await blobs.pulled(blobs.index([attestation, silent])), 'silent');
    assert.equal(await blobs.pulled(blobs.index([silent, blobs.image('ours', { platform: here })])), 'ours');
    await assert.rejects(
      blobs.pulled(blobs.index([attestation])),
      /no match for platform \S+ in manifest: it offers none/,
    );
  });

  test('when none fits, the error says what there is', async () => {
    const blobs = new Blobs();
    const others = ['riscv64', 's390x'].map((name) =>
      blobs.image(name, { platform: { os: 'linux', architecture: name } }),
    );
    const expected = `no match for platform ${hostPlatform} in manifest: it offers linux/riscv64, linux/s390x`;
    await assert.rejects(blobs.pulled(blobs.index(others)), { message: expected });
  });

  test('indexes may list indexes, but not without end', async () => {
    const blobs = new Blobs();
    let index = blobs.image('deep', { platform: here });
    for (let depth = 0; depth < 3; depth++) index = { ...blobs.index([index]), platform: here };
    assert.equal(await blobs.pulled(index), 'deep');
    await assert.rejects(blobs.pulled(blobs.index([index])), /more than 3 deep/);
  });

  test('a manifest or a configuration that is another is refused', async () => {
    const blobs = new Blobs();
    const image = blobs.image('ours');
    const lying = new Blobs();
    lying.manifest = async () => ({ bytes: Buffer.from('{"schemaVersion":2,"layers":[]}') });
    await assert.rejects(lying.pulled(image), /the manifest sha256:\S+ came with the content of sha256:/);
  });

  const offered = (...texts: string[]) =>
    texts.map((text) => {
      const [system = '', arch = '', variant] = text.split('/');
      return { text, platform: { os: system, architecture: arch, ...(variant && { variant }) } };
    });

  for (const [machine, arm, texts, expected] of [
    ['amd64', 7, ['linux/amd64/v3', 'linux/amd64'], 'linux/amd64'],
    ['amd64', 7, ['linux/amd64/v1', 'linux/386'], 'linux/amd64/v1'],
    ['amd64', 7, ['linux/amd64/v4'], undefined],
    ['arm64', 7, ['linux/arm64', 'linux/arm64/v8'], 'linux/arm64/v8'],
    ['arm64', 7, ['linux/arm/v7', 'linux/arm64'], 'linux/arm64'],
    ['arm', 7, ['linux/arm/v5', 'linux/arm/v6', 'linux/arm/v7'], 'linux/arm/v7'],
    ['arm', 7, ['linux/arm/v6', 'linux/arm'], 'linux/arm'],
    ['arm', 6, ['linux/arm/v7', 'linux/arm/v6'], 'linux/arm/v6'],
    ['arm', 6, ['linux/arm/v7', 'linux/arm'], undefined],
  ] as const) {
    test(`${machine}, version ${arm} of arm, takes ${expected ?? 'nothing'} of ${texts.join(', ')}`, () => {
      const chosen = choosePlatform(offered(...texts), { os: 'linux', architecture: machine }, arm);
      assert.equal(chosen?.text, expected);
    });
  }
});
