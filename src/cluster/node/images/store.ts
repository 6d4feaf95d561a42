import { createHash, randomUUID } from 'node:crypto';
import { existsSync, renameSync } from 'node:fs';
import { chmod, mkdir, readdir, rename, rm, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { bootId } from '../../../lib/boot-id.ts';
import type { Clock } from '../../../lib/clock.ts';
import { syncFolderAsync } from '../../../lib/durable.ts';
import { messageOf } from '../../../lib/errors.ts';
import { readJsonFileAsync, writeJsonFileAsync } from '../../../lib/json-file.ts';
import { Semaphore } from '../../../lib/semaphore.ts';
import type { Logger } from '../../../observe/log.ts';
import type { Credentials } from '../../../registry/auth.ts';
import { parseDigest } from '../../../registry/digest.ts';
import { formatReference, parseReference, type Reference } from '../../../registry/reference.ts';
import { type CollectionPolicy, chooseImages, type Disk, defaultPolicy } from './collection.ts';
import type { Files } from './files.ts';
import { type Image, ImagePullError, type LeftOutLayer, type UnpackedLayer } from './image.ts';
import { type ImageSource, pullManifest } from './puller.ts';
import { readStoredImage, readStoredLayer, readTags, type StoredImage, type StoredLayer } from './stored.ts';
import { syncedMark } from './sync-tree.ts';

export type { ImageSource };

export interface PullOptions {
  /** Ask the registry what the tag leads to, whatever it led to before. */
  isFresh?: boolean;
  /** With which to try, in this order. */
  credentials?: readonly Credentials[];
}

export interface ImageStoreOptions {
  /** `images/` of the node: `layers/HEX/{root,layer.json}` and `HEX.json` for each image. */
  dir: string;
  source: ImageSource;
  files: Files;
  clock: Clock;
  log: Logger;
  /** When images that nobody uses go; the kubelet's thresholds unless given. */
  policy?: Partial<CollectionPolicy>;
  /** How full the disk is; that of `dir` unless given. */
  disk?: (() => Promise<Disk>) | undefined;
  /** One layer, unpacked; 4 GiB. */
  maxLayerBytes?: number;
  /** Files and folders of one layer; 500,000. */
  maxLayerEntries?: number;
}

/** At once, of one image and of all. */
const parallelLayers = 3;
const parallelLayersOfAll = 6;
const credentialsMax = 16;
/** What tags led to is remembered of this many. */
const maxTags = 1_000;

/** The images of this machine, unpacked by layer and each layer once: images that share a base share its files. */
export class ImageStore {
  readonly #options: Required<ImageStoreOptions> & { policy: CollectionPolicy };
  readonly #images = new Map<string, { image: Image; lastUsedMs: number; detectedMs: number }>();
  readonly #layers = new Map<string, UnpackedLayer>();
  readonly #pulling = new Map<string, Promise<Image>>();
  readonly #unpacking = new Map<string, Promise<UnpackedLayer>>();
  readonly #downloads = new Semaphore(parallelLayersOfAll);
  /** The layers of images that are being pulled, once for each. */
  readonly #held = new Map<string, number>();
  /** The layers of which the disk has all, come what may. */
  readonly #synced = new Set<string>();
  /** What a tag led to, for images that are pulled only when absent. */
  readonly #tags = new Map<string, string>();

  private constructor(options: ImageStoreOptions) {
    const bounds = { maxLayerBytes: 4 * 2 ** 30, maxLayerEntries: 500_000 };
    this.#options = { ...bounds, disk: undefined, ...options, policy: { ...defaultPolicy, ...options.policy } };
  }

  /** Opens the folder, forgetting what an earlier agent left half done. */
  static async open(options: ImageStoreOptions): Promise<ImageStore> {
    const store = new ImageStore(options);
    await store.#load();
    return store;
  }

  /** The image if it is here already: by digest, or by a tag that was pulled before unless `isFresh` is asked for. */
  find(reference: string, isFresh = false): Image | undefined {
    const parsed = parseReference(reference);
    const known = parsed.digest ?? (isFresh ? undefined : this.#tags.get(tagOf(parsed)));
    const entry = known === undefined ? undefined : this.#images.get(known);
    if (entry) entry.lastUsedMs = this.#options.clock.now();
    return entry?.image;
  }

  /** Pulls the image unless it is here; throws ImagePullError with what the registry said. */
  async pull(reference: string, { isFresh = false, credentials = [] }: PullOptions = {}): Promise<Image> {
    const found = this.find(reference, isFresh);
    if (found) return found;
    return this.#trying(reference, credentials, (source, identity) => this.#pullAs(source, identity, reference));
  }

  /** As the kubelet does: with one after the other, until one of them is good enough. With none, as nobody. */
  async #trying<T>(
    reference: string,
    credentials: readonly Credentials[],
    work: (source: ImageSource, identity: string) => Promise<T>,
  ): Promise<T> {
    const { source } = this.#options;
    const failures: unknown[] = [];
    for (const one of credentials.length === 0 ? [undefined] : credentials.slice(0, credentialsMax)) {
      try {
        return await work(source.as?.(one) ?? source, JSON.stringify(one ?? null));
      } catch (error) {
        failures.push(error);
      }
    }
    const said = [...new Set(failures.map(messageOf))];
    const why = said.length === 1 ? said[0] : `[${said.join(', ')}]`;
    throw new ImagePullError('ErrImagePull', `failed to pull and unpack image "${reference}": ${why}`, {
      cause: failures[0],
    });
  }

  async #pullAs(source: ImageSource, identity: string, reference: string): Promise<Image> {
    const parsed = parseReference(reference);
    const digest = parsed.digest ?? (await source.resolve(reference));
    if (!parsed.digest) await this.#remember(tagOf(parsed), digest);
    const known = this.find(`${parsed.host}/${parsed.name}@${digest}`);
    if (known) return known;
    const { tag: _, ...untagged } = parsed;
    // Who may not have it does not wait for who may, nor fail because of who may not.
    return this.#once(this.#pulling, `${digest} ${identity}`, () =>
      this.#pull(source, formatReference({ ...untagged, digest }), digest),
    );
  }

  /** The image with its base unpacked, too; `reference` says where it is from. Throws ImagePullError. */
  async whole(reference: string, image: Image, { credentials = [] }: PullOptions = {}): Promise<Image> {
    if (image.base.length === 0) return image;
    const letGo = [this.#hold(image.base)];
    try {
      const { tag: _, ...untagged } = parseReference(reference);
      const from = formatReference({ ...untagged, digest: image.digest });
      const base = await this.#trying(reference, credentials, (source) => this.#allLayers(source, from, image.base));
      return { ...image, layers: await this.#levelled([...base, ...image.layers], letGo), base: [] };
    } finally {
      for (const release of letGo) release();
    }
  }

  /** Removes images that are not in `used` (digests) as the policy says, and layers that no image has (any more). */
  async collect(used: ReadonlySet<string>): Promise<string[]> {
    const { dir, clock, log, policy } = this.#options;
    const begunMs = clock.now();
    for (const entry of this.#images.values()) if (used.has(entry.image.digest)) entry.lastUsedMs = begunMs;
    const images = [...this.#images.values()].map(({ image, ...times }) => ({
      ...{ digest: image.digest, isUsed: used.has(image.digest), ...times },
      layers: [...image.layers, ...image.base].flatMap(({ digest }) => this.#layers.get(digest) ?? []),
    }));
    const { digests, missingBytes } = chooseImages(images, await this.#disk(), policy, begunMs);
    if (missingBytes > 0) {
      log.warn({ missingBytes }, 'the disk is fuller than images may leave it, and no other may be removed');
    }
    const removed: string[] = [];
    for (const digest of digests) {
      const entry = this.#images.get(digest);
      // Somebody has asked for it meanwhile.
      if (!entry || entry.lastUsedMs > begunMs || this.#isPulling(digest)) continue;
      this.#images.delete(digest);
      await rm(join(dir, `${hexOf(digest)}.json`), { force: true });
      removed.push(digest);
    }
    // Also those of pulls that failed, and of images whose removal was cut short.
    for (const digest of [...this.#layers.keys()]) await this.#removeLayer(digest);
    if (removed.length > 0) log.info({ images: removed }, 'images that nobody uses were removed');
    return removed;
  }

  async #disk(): Promise<Disk | undefined> {
    const { disk, dir } = this.#options;
    if (disk) return disk();
    const { blocks, bavail, bsize } = await statfs(dir);
    return { capacityBytes: blocks * bsize, availableBytes: bavail * bsize };
  }

  /** Removes the layer unless an image has it, or one that is being pulled will. */
  async #removeLayer(digest: string): Promise<void> {
    const { dir, files } = this.#options;
    // Nothing is waited for between looking and forgetting it: a pull finds it, and then it is held, or it does not.
    if (this.#held.has(digest) || !this.#layers.has(digest)) return;
    for (const { image } of this.#images.values()) {
      if ([...image.layers, ...image.base].some((layer) => layer.digest === digest)) return;
    }
    this.#layers.delete(digest);
    // Out of its place first, as a whole: a copy that is being made of it fails rather than being incomplete.
    const doomed = join(dir, 'layers', `.${hexOf(digest)}-${randomUUID()}`);
    renameSync(join(dir, 'layers', hexOf(digest)), doomed);
    // Or power loss could leave it in its place with the mark that it is whole, and with some of its files removed.
    await syncFolderAsync(join(dir, 'layers'));
    await files.remove(doomed);
  }

  /**
   * Syncs what was unpacked since the last call, and writes down that it was: until then power loss may leave a layer
   * with empty files, so it counts only in the run of the machine in which it was made.
   */
  async sync(): Promise<void> {
    for (const [digest, { root }] of this.#layers) {
      if (this.#synced.has(digest)) continue;
      const folder = dirname(root);
      if (await this.#options.files.sync(folder)) this.#synced.add(digest);
    }
  }

  /** Also for the next agent: pods are to start again while a registry is away. */
  async #remember(tag: string, digest: string): Promise<void> {
    if (this.#tags.get(tag) === digest) return;
    this.#tags.delete(tag);
    this.#tags.set(tag, digest);
    const [oldest] = this.#tags.keys();
    if (this.#tags.size > maxTags && oldest !== undefined) this.#tags.delete(oldest);
    await writeJsonFileAsync(join(this.#options.dir, 'tags'), [...this.#tags], { mustLast: false });
  }

  /** The unpacked size of all layers. */
  sizeBytes(): number {
    return [...this.#layers.values()].reduce((sum, layer) => sum + layer.sizeBytes, 0);
  }

  async #load(): Promise<void> {
    const { dir, files, clock, log } = this.#options;
    // What is in there may be setuid: nobody else of this machine gets at it.
    await mkdir(join(dir, 'layers'), { recursive: true, mode: 0o700 });
    await chmod(join(dir, 'layers'), 0o700);
    for (const name of await readdir(join(dir, 'layers'))) {
      const folder = join(dir, 'layers', name);
      const layer = readStoredLayer(await readJsonFileAsync(join(folder, 'layer.json')), name);
      const isSynced = layer !== undefined && existsSync(join(folder, syncedMark));
      if (layer && (isSynced || layer.bootId === bootId())) {
        const { bootId: _, ...stored } = layer;
        this.#layers.set(layer.digest, { ...stored, root: join(folder, 'root') });
        if (isSynced) this.#synced.add(layer.digest);
      } else {
        const removing = files.remove(folder);
        await removing.catch((error) => log.warn({ folder, reason: messageOf(error) }, 'a broken layer stays'));
      }
    }
    for (const [tag, digest] of readTags(await readJsonFileAsync(join(dir, 'tags')))) this.#tags.set(tag, digest);
    for (const name of await readdir(dir)) {
      if (!name.endsWith('.json')) continue;
      const stored = readStoredImage(await readJsonFileAsync(join(dir, name)), name.slice(0, -'.json'.length));
      const layers = stored?.layers.map((digest) => this.#layers.get(digest)) ?? [undefined];
      if (stored && layers.every((layer) => layer !== undefined)) {
        const { digest, config, base, sizeBytes } = stored;
        this.#images.set(digest, { image: { digest, config, layers, base, sizeBytes }, ...now(clock) });
      } else await rm(join(dir, name), { recursive: true, force: true });
    }
  }

  async #pull(source: ImageSource, reference: string, digest: string): Promise<Image> {
    const { dir, clock } = this.#options;
    const pulled = await pullManifest(source, reference, digest);
    const { config, base, sizeBytes } = pulled;
    const letGo = [this.#hold([...base, ...pulled.layers])];
    try {
      const layers = await this.#levelled(await this.#allLayers(source, reference, pulled.layers), letGo);
      const image: Image = { digest, config, layers, base, sizeBytes };
      const stored: StoredImage = { digest, config, layers: layers.map((layer) => layer.digest), base, sizeBytes };
      await writeJsonFileAsync(join(dir, `${hexOf(digest)}.json`), stored, { mustLast: false });
      this.#images.set(digest, { image, ...now(clock) });
      return image;
    } finally {
      for (const release of letGo) release();
    }
  }

  /**
   * The layers that count, and one on top where those say nothing of folders that others have said something of
   * (implicit-folders.ts). What is below one that hides all is left out: overlayfs knows no such root.
   */
  async #levelled(all: readonly UnpackedLayer[], letGo: (() => void)[]): Promise<UnpackedLayer[]> {
    const { dir, files } = this.#options;
    const bottom = all.findLastIndex((layer) => layer.opaques.includes(''));
    const layers = all.slice(Math.max(0, bottom));
    if (layers.length < 2 || layers.slice(1).every((layer) => layer.implicit.length === 0)) return layers;
    const work = join(dir, 'layers', `.${randomUUID()}`);
    await mkdir(join(work, 'root'), { recursive: true });
    try {
      const digest = await files.folders(layers, join(work, 'root'));
      if (digest === undefined) return layers;
      letGo.push(this.#hold([{ digest }]));
      const made = { digest, whiteouts: [], opaques: [], implicit: [], sizeBytes: 0 };
      const put = () => this.#once(this.#unpacking, digest, () => this.#put(work, made));
      return [...layers, this.#layers.get(digest) ?? (await put())];
    } finally {
      await files.remove(work);
    }
  }

  /** A layer that is unpacked in `work` goes into its place. */
  async #put(work: string, made: Omit<UnpackedLayer, 'root'>): Promise<UnpackedLayer> {
    const { dir, files } = this.#options;
    const place = join(dir, 'layers', hexOf(made.digest));
    const record: StoredLayer = { ...made, bootId: bootId() };
    await writeJsonFileAsync(join(work, 'layer.json'), record, { mustLast: false });
    await files.remove(place);
    await rename(work, place);
    const layer: UnpackedLayer = { ...made, root: join(place, 'root') };
    this.#synced.delete(made.digest);
    this.#layers.set(made.digest, layer);
    return layer;
  }

  #isPulling(digest: string): boolean {
    return [...this.#pulling.keys()].some((key) => key.startsWith(digest));
  }

  /** Until the returned function is called, `collect` leaves these layers alone. */
  #hold(layers: readonly Pick<LeftOutLayer, 'digest'>[]): () => void {
    const count = (digest: string, by: number) => {
      const held = (this.#held.get(digest) ?? 0) + by;
      if (held > 0) this.#held.set(digest, held);
      else this.#held.delete(digest);
    };
    for (const { digest } of layers) count(digest, 1);
    return () => {
      for (const { digest } of layers) count(digest, -1);
    };
  }

  async #allLayers(source: ImageSource, reference: string, descriptors: readonly LeftOutLayer[]) {
    const layers = new Array<UnpackedLayer>(descriptors.length);
    const queue = [...descriptors.entries()];
    let hasFailed = false;
    const next = async (): Promise<void> => {
      for (let item = queue.shift(); item && !hasFailed; item = queue.shift()) {
        const [index, descriptor] = item;
        layers[index] = await this.#layer(source, reference, descriptor);
      }
    };
    // Waits for all, so that nothing is unpacked any more for a pull that has failed.
    const results = await Promise.allSettled(
      Array.from({ length: parallelLayers }, () =>
        next().catch((error) => {
          hasFailed = true;
          throw error;
        }),
      ),
    );
    for (const result of results) if (result.status === 'rejected') throw result.reason;
    return layers;
  }

  async #layer(source: ImageSource, reference: string, descriptor: LeftOutLayer): Promise<UnpackedLayer> {
    const found = this.#layers.get(descriptor.digest);
    if (found) return found;
    return this.#once(this.#unpacking, descriptor.digest, () =>
      this.#downloads.run(() => this.#unpack(source, reference, descriptor)),
    );
  }

  /** Unpacks beside, as it comes, and moves into place when all is well: when it is what its digests say. */
  async #unpack(source: ImageSource, reference: string, { digest, mediaType, size, diffId }: LeftOutLayer) {
    const { dir, files, log, maxLayerBytes, maxLayerEntries } = this.#options;
    if (size > maxLayerBytes)
      throw new Error(`the layer ${digest} has ${size} bytes: more than ${maxLayerBytes} are refused`);
    const work = join(dir, 'layers', `.${hexOf(digest)}-${randomUUID()}`);
    try {
      await mkdir(join(work, 'root'), { recursive: true });
      const content = checked(digest, size);
      const options = { mediaType, diffId, maxBytes: maxLayerBytes, maxEntries: maxLayerEntries };
      const blob = await source.blob(reference, digest, undefined, size);
      const unpacked = await files.unpack(blob, { ...options, target: join(work, 'root') }, content.see);
      content.end();
      if (unpacked.lacks !== undefined) log.warn({ layer: digest, reason: unpacked.lacks }, 'a layer is not whole');
      return await this.#put(work, { digest, ...unpacked });
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

/** Refuses content that is longer than promised, or whose digest is another. */
function checked(digest: string, size: number) {
  const algorithm = parseDigest(digest)?.algorithm ?? 'sha256';
  const hash = createHash(algorithm);
  let received = 0;
  return {
    see(chunk: Buffer): void {
      received += chunk.length;
      if (received > size) throw new Error(`the layer ${digest} is longer than the ${size} bytes of its descriptor`);
      hash.update(chunk);
    },
    end(): void {
      const actual = `${algorithm}:${hash.digest('hex')}`;
      if (actual !== digest) throw new Error(`the layer ${digest} came with the content of ${actual}`);
    },
  };
}

function hexOf(digest: string): string {
  const parsed = parseDigest(digest);
  if (!parsed) throw new Error(`${JSON.stringify(digest)} is not a digest`);
  return parsed.hex;
}

/** The whole name: `nginx` and `docker.io/library/nginx:latest` are one. */
const tagOf = ({ host, name, tag = 'latest' }: Reference) => formatReference({ host, name, tag });

const now = (clock: Clock) => ({ lastUsedMs: clock.now(), detectedMs: clock.now() });
