import { join } from 'node:path';
import { readJsonFileAsync } from '../../lib/json-file.ts';
import { parseReference } from '../../registry/index.ts';
import type { BuildContext } from '../context.ts';
import { remember } from '../remember.ts';
import type { Layer } from './layer.ts';

/** What is remembered of a layer: its bytes are in the registry, in the repository that it was first pushed to. */
interface Remembered {
  digest: string;
  mediaType: string;
  size: number;
  diffId: string;
  repository: string;
}

/**
 * A layer that costs much to make, by a key of all that it is made from: mounted from the registry when it still has
 * it, otherwise made and remembered.
 */
export function cachedLayer(
  key: string,
  createdBy: string,
  context: BuildContext,
  make: () => Promise<Layer>,
): Promise<Layer> {
  return context.locks.hold(`layer ${key}`, context.signal, async () => {
    const path = join(context.folders.layers, `${key}.json`);
    const known = await readJsonFileAsync(path);
    if (isRemembered(known) && (await context.registry.hasBlob(known.repository, known.digest, context.signal))) {
      context.log.say(`${createdBy}: unchanged, layer ${known.digest.slice(7, 19)} used again`);
      return rememberedLayer(known, createdBy);
    }
    const layer = await make();
    const { descriptor, diffId, content } = layer;
    await context.registry.pushBlob(context.repository, { descriptor, content }, context.signal);
    const { digest, mediaType, size } = descriptor;
    await remember(path, { digest, mediaType, size, diffId, repository: context.repository });
    return layer;
  });
}

/** A file of another version, or damaged, is none. */
function isRemembered(known: unknown): known is Remembered {
  const { digest, mediaType, size, diffId, repository } = (known ?? {}) as Partial<Remembered>;
  return typeof size === 'number' && [digest, mediaType, diffId, repository].every((v) => typeof v === 'string');
}

function rememberedLayer({ digest, mediaType, size, diffId, repository }: Remembered, createdBy: string): Layer {
  const content = (): never => {
    throw new Error(`the registry lost the layer ${digest} of ${repository} while it was being used: build again`);
  };
  const mountFrom = parseReference(repository).name;
  return { descriptor: { digest, mediaType, size }, diffId, createdBy, content, mountFrom };
}
