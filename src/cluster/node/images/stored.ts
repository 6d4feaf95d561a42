import { parseDigest } from '../../../registry/digest.ts';
import { containedPath } from './contained-path.ts';
import type { ImageConfig, LeftOutLayer, UnpackedLayer } from './image.ts';

/** What is kept of an image, in `HEX.json`. */
export interface StoredImage {
  digest: string;
  config: ImageConfig;
  layers: string[];
  base: LeftOutLayer[];
  sizeBytes: number;
}

/** What is kept of a layer, in `layers/HEX/layer.json`. */
export type StoredLayer = Omit<UnpackedLayer, 'root'> & { bootId: string };

/** The layer as it was stored in the folder `hex`; undefined when that is no such thing, whatever it is. */
export function readStoredLayer(value: unknown, hex: string): StoredLayer | undefined {
  const { digest, whiteouts, opaques, implicit, sizeBytes, bootId, lacks } = (value ?? {}) as Partial<StoredLayer>;
  if (!isNamed(digest, hex) || typeof bootId !== 'string' || !Number.isSafeInteger(sizeBytes)) return undefined;
  // One without `implicit` was unpacked before layers had the form of overlayfs.
  if (![whiteouts, opaques, implicit].every(arePaths)) return undefined;
  const stored = { digest, whiteouts, opaques, implicit, sizeBytes, bootId } as StoredLayer;
  return typeof lacks === 'string' ? { ...stored, lacks } : stored;
}

export function readStoredImage(value: unknown, hex: string): StoredImage | undefined {
  const { digest, config, layers, base = [], sizeBytes = 0 } = (value ?? {}) as Partial<StoredImage>;
  if (!isNamed(digest, hex) || !areTexts(layers) || typeof config !== 'object' || config === null) return undefined;
  if (!Array.isArray(base) || !base.every(isLeftOut)) return undefined;
  const { entrypoint, cmd, env, workingDir, user = '', labels, platform, stopSignal } = config;
  if (![entrypoint, cmd, env].every(areTexts)) return undefined;
  if (typeof workingDir !== 'string' || typeof user !== 'string') return undefined;
  if (typeof labels !== 'object' || labels === null || !areTexts(Object.values(labels))) return undefined;
  if (typeof platform !== 'string' || (stopSignal !== undefined && typeof stopSignal !== 'string')) return undefined;
  return { digest, config: { ...config, user }, layers, base, sizeBytes: Number(sizeBytes) || 0 };
}

/** What tags led to; those of which the disk has something else are left out. */
export function readTags(value: unknown): [tag: string, digest: string][] {
  const isTag = (pair: unknown): pair is [string, string] =>
    areTexts(pair) && pair.length === 2 && parseDigest(pair[1] ?? '') !== undefined;
  return Array.isArray(value) ? value.filter(isTag) : [];
}

const isNamed = (digest: unknown, hex: string): digest is string =>
  typeof digest === 'string' && parseDigest(digest)?.hex === hex;

function isLeftOut(value: unknown): value is LeftOutLayer {
  const { digest, mediaType, size, diffId } = (value ?? {}) as Partial<LeftOutLayer>;
  return areTexts([digest, mediaType, diffId]) && Number.isSafeInteger(size);
}

const areTexts = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((item) => typeof item === 'string');

function arePaths(value: unknown): value is string[] {
  try {
    return areTexts(value) && value.every((path) => containedPath(path) === path);
  } catch {
    return false; // One leads out.
  }
}
