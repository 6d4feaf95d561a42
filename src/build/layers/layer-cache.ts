import { lstat, mkdir, readdir, readFile, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { replaceFileAsync } from '../../lib/durable.ts';
import { Mutexes } from '../../lib/mutexes.ts';
import { parseReference } from '../../registry/index.ts';
import type { BuildContext } from '../context.ts';
import type { Layer } from './layer.ts';

/** What is remembered of a layer: its bytes are in the registry, in the repository that it was first pushed to. */
interface Remembered {
  digest: string;
  mediaType: string;
  size: number;
  diffId: string;
  repository: string;
}

/** Layers that cost much to make, by a key of all that they are made from. */
export interface LayerCache {
  /** The layer, mounted from the registry when it still has it, otherwise made and remembered. */
  getOrMake(key: string, createdBy: string, context: BuildContext, make: () => Promise<Layer>): Promise<Layer>;
}

export function createLayerCache(): LayerCache {
  const making = new Mutexes();
  return {
    getOrMake(key, createdBy, context, make) {
      return making.hold(key, context.signal, async () => {
        const path = join(context.folders.layers, `${key}.json`);
        const known = await readJson<Remembered>(path);
        if (isRemembered(known) && (await context.registry.hasBlob(known.repository, known.digest, context.signal))) {
          context.log.say(`${createdBy}: unchanged, layer ${known.digest.slice(7, 19)} used again`);
          return rememberedLayer(known, createdBy);
        }
        const layer = await make();
        const { descriptor, diffId, content } = layer;
        await context.registry.pushBlob(context.repository, { descriptor, content }, context.signal);
        const { digest, mediaType, size } = descriptor;
        await writeJson(path, { digest, mediaType, size, diffId, repository: context.repository });
        return layer;
      });
    },
  };
}

/** A file of another version, or damaged, is none. */
function isRemembered(known: Remembered | undefined): known is Remembered {
  const { digest, mediaType, size, diffId, repository } = known ?? {};
  return typeof size === 'number' && [digest, mediaType, diffId, repository].every((v) => typeof v === 'string');
}

function rememberedLayer({ digest, mediaType, size, diffId, repository }: Remembered, createdBy: string): Layer {
  const content = (): never => {
    throw new Error(`the registry lost the layer ${digest} of ${repository} while it was being used: build again`);
  };
  const mountFrom = parseReference(repository).name;
  return { descriptor: { digest, mediaType, size }, diffId, createdBy, content, mountFrom };
}

/** The value in a file of ours; undefined when there is none, or when it was cut short by a crash. */
export async function readJson<T>(path: string): Promise<T | undefined> {
  const text = await readFile(path, 'utf8').catch(() => undefined /* never written */);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as T;
  } catch {
    return undefined; // A cache: what cannot be read is made again.
  }
}

/** Removes all but the `max` files of a folder of ours that were written last. */
export async function keepNewest(folder: string, max: number): Promise<void> {
  const names = await readdir(folder).catch(() => [] /* nothing was ever written */);
  if (names.length <= max) return;
  const files = await Promise.all(
    names.map(async (name) => ({ path: join(folder, name), writtenMs: (await stat(join(folder, name))).mtimeMs })),
  );
  files.sort((a, b) => b.writtenMs - a.writtenMs);
  for (const { path } of files.slice(max)) await rm(path, { force: true });
}

/** The entries of a folder that are too much: those changed longest ago, so that the rest has at most `maxBytes`. */
export async function beyond(folder: string, maxBytes: number): Promise<string[]> {
  const entries: { path: string; changedMs: number; bytes: number }[] = [];
  for (const name of await readdir(folder).catch(() => [] /* nothing was ever written */)) {
    const path = join(folder, name);
    entries.push({ path, changedMs: (await lstat(path)).mtimeMs, bytes: await bytesIn(path) });
  }
  entries.sort((a, b) => b.changedMs - a.changedMs);
  let keptBytes = 0;
  return entries
    .filter(({ bytes }) => {
      keptBytes += bytes;
      return keptBytes > maxBytes;
    })
    .map(({ path }) => path);
}

/** Removes files and folders; what cannot be removed is left for the next time. */
export async function removeAll(paths: readonly string[]): Promise<void> {
  for (const path of paths) await rm(path, { recursive: true, force: true }).catch(() => {});
}

/** Of a file, or of all in a folder. */
async function bytesIn(path: string): Promise<number> {
  let bytes = 0;
  const pending = [path];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const inner = next;
    const status = await lstat(inner);
    bytes += status.size;
    if (status.isDirectory()) pending.push(...(await readdir(inner)).map((name) => join(inner, name)));
  }
  return bytes;
}

/** Writes a file of ours whole or not at all. */
export async function writeJson(path: string, value: unknown): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await replaceFileAsync(path, JSON.stringify(value), { mustLast: false });
}
