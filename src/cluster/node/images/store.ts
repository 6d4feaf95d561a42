import { createHash, randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Clock } from '../../../lib/clock.ts';
import { messageOf } from '../../../lib/errors.ts';
import type { Logger } from '../../../observe/log.ts';
import { digestOf, parseDigest } from '../../../registry/digest.ts';
import type { Descriptor, ImageConfig as OciConfig } from '../../../registry/manifest.ts';
import { parseManifest } from '../../../registry/manifest.ts';
import { formatReference, parseReference } from '../../../registry/reference.ts';
import type { Files } from './files.ts';
import { type Image, type ImageConfig, ImagePullError, type UnpackedLayer } from './image.ts';

/** What the store needs of a registry's client. */
export interface ImageSource {
  resolve(reference: string): Promise<string>;
  /** The manifest's own bytes. */
  manifest(reference: string): Promise<{ bytes: Buffer }>;
  blob(reference: string, digest: string): Promise<Readable>;
}

export interface ImageStoreOptions {
  /** `images/` of the node: `layers/HEX/{root,layer.json}` and `HEX.json` for each image. */
  dir: string;
  source: ImageSource;
  files: Files;
  clock: Clock;
  log: Logger;
  /** Images that nobody uses are removed, the longest unused first, while the layers take more than this; 5 GiB. */
  maxCacheBytes?: number;
  /** One layer, unpacked; 4 GiB. */
  maxLayerBytes?: number;
  /** Files and folders of one layer; 500,000. */
  maxLayerEntries?: number;
}

/** What is kept of an image: its file's modification time says when it was last used. */
interface StoredImage {
  digest: string;
  config: ImageConfig;
  layers: string[];
}

type StoredLayer = Omit<UnpackedLayer, 'path'>;

const maxConfigBytes = 4 * 1024 * 1024;
const parallelLayers = 3;

/** The images of this machine, unpacked by layer and each layer once: images that share a base share its files. */
export class ImageStore {
  readonly #options: Required<ImageStoreOptions>;
  readonly #images = new Map<string, { image: Image; lastUsedMs: number }>();
  readonly #layers = new Map<string, UnpackedLayer>();
  readonly #pulling = new Map<string, Promise<Image>>();
  readonly #unpacking = new Map<string, Promise<UnpackedLayer>>();
  /** What a tag led to, for images that are pulled only when absent. */
  readonly #tags = new Map<string, string>();

  private constructor(options: ImageStoreOptions) {
    const gib = 2 ** 30;
    this.#options = { maxCacheBytes: 5 * gib, maxLayerBytes: 4 * gib, maxLayerEntries: 500_000, ...options };
  }

  /** Opens the folder, forgetting what an earlier agent left half done. */
  static async open(options: ImageStoreOptions): Promise<ImageStore> {
    const store = new ImageStore(options);
    await store.#load();
    return store;
  }

  /** The image if it is here already: by digest, or by a tag that was pulled before unless `isFresh` is asked for. */
  find(reference: string, isFresh = false): Image | undefined {
    const { digest } = parseReference(reference);
    const known = digest ?? (isFresh ? undefined : this.#tags.get(reference));
    const entry = known === undefined ? undefined : this.#images.get(known);
    if (entry) entry.lastUsedMs = this.#options.clock.now();
    return entry?.image;
  }

  /** Pulls the image unless it is here; throws ImagePullError with what the registry said. */
  async pull(reference: string, isFresh = false): Promise<Image> {
    try {
      const found = this.find(reference, isFresh);
      if (found) return found;
      const parsed = parseReference(reference);
      const digest = parsed.digest ?? (await this.#options.source.resolve(reference));
      if (!parsed.digest) this.#tags.set(reference, digest);
      const known = this.find(`${parsed.host}/${parsed.name}@${digest}`);
      if (known) return known;
      const { tag: _, ...untagged } = parsed;
      return await this.#once(this.#pulling, digest, () =>
        this.#pull(formatReference({ ...untagged, digest }), digest),
      );
    } catch (error) {
      throw new ImagePullError(`failed to pull image "${reference}": ${messageOf(error)}`, { cause: error });
    }
  }

  /** Removes images that are not in `used` (digests), the longest unused first, until the cache is within its size. */
  async collect(used: ReadonlySet<string>): Promise<string[]> {
    const { maxCacheBytes, dir, files, log } = this.#options;
    const removed: string[] = [];
    const unused = [...this.#images.values()]
      .filter(({ image }) => !used.has(image.digest) && !this.#pulling.has(image.digest))
      .sort((a, b) => a.lastUsedMs - b.lastUsedMs);
    for (const { image } of unused) {
      if (this.sizeBytes() <= maxCacheBytes) break;
      this.#images.delete(image.digest);
      await rm(join(dir, `${hexOf(image.digest)}.json`), { force: true });
      removed.push(image.digest);
      const wanted = new Set([...this.#images.values()].flatMap((e) => e.image.layers.map((layer) => layer.digest)));
      for (const { digest } of image.layers) {
        if (wanted.has(digest) || this.#unpacking.has(digest)) continue;
        this.#layers.delete(digest);
        await files.remove(join(dir, 'layers', hexOf(digest)));
      }
    }
    if (removed.length > 0) log.info({ images: removed }, 'images that nobody uses were removed');
    return removed;
  }

  /** The unpacked size of all layers. */
  sizeBytes(): number {
    return [...this.#layers.values()].reduce((sum, layer) => sum + layer.sizeBytes, 0);
  }

  async #load(): Promise<void> {
    const { dir, files, clock } = this.#options;
    await mkdir(join(dir, 'layers'), { recursive: true });
    for (const name of await readdir(join(dir, 'layers'))) {
      const folder = join(dir, 'layers', name);
      const layer = await readJson<StoredLayer>(join(folder, 'layer.json'));
      if (layer) this.#layers.set(layer.digest, { ...layer, path: join(folder, 'root') });
      else await files.remove(folder);
    }
    for (const name of await readdir(dir)) {
      if (!name.endsWith('.json')) continue;
      const stored = await readJson<StoredImage>(join(dir, name));
      const layers = stored?.layers.map((digest) => this.#layers.get(digest)) ?? [undefined];
      if (stored && layers.every((layer) => layer !== undefined)) {
        const { digest, config } = stored;
        this.#images.set(digest, { image: { digest, config, layers }, lastUsedMs: clock.now() });
      } else await rm(join(dir, name), { force: true });
    }
  }

  async #pull(reference: string, digest: string): Promise<Image> {
    const { source, dir, clock } = this.#options;
    const manifest = await this.#manifest(reference, digest);
    if (!manifest.config || !manifest.layers) throw new Error('the manifest is not that of an image');
    const bytes = await readBounded(await source.blob(reference, manifest.config.digest), maxConfigBytes);
    verify(bytes, manifest.config.digest, 'configuration');
    const oci = JSON.parse(bytes.toString('utf8')) as OciConfig;
    const diffIds = oci.rootfs?.diff_ids ?? [];

    const descriptors = manifest.layers;
    const layers = new Array<UnpackedLayer>(descriptors.length);
    const queue = [...descriptors.entries()];
    const next = async (): Promise<void> => {
      for (let item = queue.shift(); item; item = queue.shift()) {
        const [index, descriptor] = item;
        layers[index] = await this.#layer(reference, descriptor, diffIds[index]);
      }
    };
    await Promise.all(Array.from({ length: parallelLayers }, next));

    const image: Image = { digest, config: configOf(oci), layers };
    const stored: StoredImage = { digest, config: image.config, layers: layers.map((layer) => layer.digest) };
    await writeJson(join(dir, `${hexOf(digest)}.json`), stored);
    this.#images.set(digest, { image, lastUsedMs: clock.now() });
    return image;
  }

  /** The image's manifest; of an index, that of the image for this machine. */
  async #manifest(reference: string, digest: string, depth = 0): Promise<ReturnType<typeof parseManifest>> {
    const { bytes } = await this.#options.source.manifest(reference);
    verify(bytes, digest, 'manifest');
    const manifest = parseManifest(bytes);
    if (!manifest.manifests) return manifest;
    const chosen = manifest.manifests.find((m) => m.platform && platformText(m.platform) === hostPlatform);
    if (!chosen || depth > 2) {
      const offered = manifest.manifests.map((m) => (m.platform ? platformText(m.platform) : '?')).join(', ');
      throw new Error(`there is no image for ${hostPlatform}, only for ${offered}`);
    }
    return this.#manifest(
      formatReference({ ...parseReference(reference), digest: chosen.digest }),
      chosen.digest,
      depth + 1,
    );
  }

  async #layer(reference: string, descriptor: Descriptor, diffId: string | undefined): Promise<UnpackedLayer> {
    const found = this.#layers.get(descriptor.digest);
    if (found) return found;
    return this.#once(this.#unpacking, descriptor.digest, () => this.#unpack(reference, descriptor, diffId));
  }

  /** Downloads, verifies and unpacks beside, and moves into place when all is well. */
  async #unpack(reference: string, { digest, mediaType, size }: Descriptor, diffId: string | undefined) {
    const { dir, source, files, maxLayerBytes, maxLayerEntries } = this.#options;
    const place = join(dir, 'layers', hexOf(digest));
    const work = join(dir, 'layers', `.${hexOf(digest)}-${randomUUID()}`);
    const blobPath = join(work, 'blob');
    try {
      await mkdir(join(work, 'root'), { recursive: true });
      await download(await source.blob(reference, digest), { digest, size, path: blobPath });
      const unpacked = await files.unpack({
        blobPath,
        mediaType,
        diffId,
        target: join(work, 'root'),
        maxBytes: maxLayerBytes,
        maxEntries: maxLayerEntries,
      });
      await rm(blobPath);
      const stored: StoredLayer = { digest, ...unpacked };
      await writeJson(join(work, 'layer.json'), stored);
      await files.remove(place);
      await rename(work, place);
      const layer: UnpackedLayer = { ...stored, path: join(place, 'root') };
      this.#layers.set(digest, layer);
      return layer;
    } catch (error) {
      await files.remove(work);
      throw error;
    }
  }

  #once<T>(running: Map<string, Promise<T>>, key: string, start: () => Promise<T>): Promise<T> {
    let found = running.get(key);
    if (!found) {
      found = start().finally(() => running.delete(key));
      running.set(key, found);
    }
    return found;
  }
}

/** Writes the blob to a file, refusing one that is longer than promised or whose digest is another. */
async function download(blob: Readable, { digest, size, path }: { digest: string; size: number; path: string }) {
  const algorithm = parseDigest(digest)?.algorithm ?? 'sha256';
  const hash = createHash(algorithm);
  let received = 0;
  const check = async function* (chunks: AsyncIterable<Buffer>) {
    for await (const chunk of chunks) {
      received += chunk.length;
      if (received > size) throw new Error(`the layer ${digest} is longer than the ${size} bytes of its descriptor`);
      hash.update(chunk);
      yield chunk;
    }
  };
  await pipeline(blob, check, createWriteStream(path));
  const actual = `${algorithm}:${hash.digest('hex')}`;
  if (actual !== digest) throw new Error(`the layer ${digest} came with the content of ${actual}`);
}

function configOf(oci: OciConfig): ImageConfig {
  const { Entrypoint, Cmd, Env, WorkingDir, Labels, StopSignal } = oci.config ?? {};
  return {
    entrypoint: Entrypoint ?? [],
    cmd: Cmd ?? [],
    env: Env ?? [],
    workingDir: WorkingDir || '/',
    labels: Labels ?? {},
    platform: platformText(oci),
    ...(StopSignal ? { stopSignal: StopSignal } : {}),
  };
}

const platformText = ({ os, architecture }: { os: string; architecture: string }) => `${os}/${architecture}`;

/** This machine in the words of OCI, which are Go's. */
export const hostPlatform = platformText({
  os: process.platform === 'win32' ? 'windows' : process.platform,
  architecture: { x64: 'amd64', arm64: 'arm64', ia32: '386', arm: 'arm' }[process.arch as string] ?? process.arch,
});

function verify(bytes: Buffer, digest: string, what: string): void {
  const actual = digestOf(bytes, parseDigest(digest)?.algorithm);
  if (actual !== digest) throw new Error(`the ${what} ${digest} came with the content of ${actual}`);
}

async function readBounded(stream: Readable, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBytes) throw new Error(`the image's configuration is larger than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function hexOf(digest: string): string {
  const parsed = parseDigest(digest);
  if (!parsed) throw new Error(`${JSON.stringify(digest)} is not a digest`);
  return parsed.hex;
}

async function readJson<T>(path: string): Promise<T | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as T;
  } catch {
    return undefined; // Half written, or not there: the caller starts afresh.
  }
}

async function writeJson(path: string, value: unknown): Promise<void> {
  await writeFile(`${path}.tmp`, JSON.stringify(value));
  await rename(`${path}.tmp`, path);
}
