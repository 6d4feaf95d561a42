import { parseDigest } from '../../../registry/digest.ts';
import { containedPath } from './contained-path.ts';
import type { ImageConfig, UnpackedLayer } from './image.ts';

/** What is kept of an image, in `HEX.json`. */
export interface StoredImage {
  digest: string;
  config: ImageConfig;
  layers: string[];
}

/** What is kept of a layer, in `layers/HEX/layer.json`. */
export type StoredLayer = Omit<UnpackedLayer, 'path'> & { bootId: string };

/** The layer as it was stored in the folder `hex`; undefined when that is no such thing, whatever it is. */
export function readStoredLayer(value: unknown, hex: string): StoredLayer | undefined {
  const { digest, whiteouts, opaques, sizeBytes, bootId } = (value ?? {}) as Partial<StoredLayer>;
  if (!isNamed(digest, hex) || typeof bootId !== 'string' || !Number.isSafeInteger(sizeBytes)) return undefined;
  if (!arePaths(whiteouts) || !arePaths(opaques)) return undefined;
  return { digest, whiteouts, opaques, sizeBytes: sizeBytes ?? 0, bootId };
}

export function readStoredImage(value: unknown, hex: string): StoredImage | undefined {
  const { digest, config, layers } = (value ?? {}) as Partial<StoredImage>;
  if (!isNamed(digest, hex) || !areTexts(layers) || typeof config !== 'object' || config === null) return undefined;
  const { entrypoint, cmd, env, workingDir, labels, platform, stopSignal } = config;
  if (![entrypoint, cmd, env].every(areTexts) || typeof workingDir !== 'string') return undefined;
  if (typeof labels !== 'object' || labels === null || !areTexts(Object.values(labels))) return undefined;
  if (typeof platform !== 'string' || (stopSignal !== undefined && typeof stopSignal !== 'string')) return undefined;
  return { digest, config, layers };
}

const isNamed = (digest: unknown, hex: string): digest is string =>
  typeof digest === 'string' && parseDigest(digest)?.hex === hex;

const areTexts = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((item) => typeof item === 'string');

function arePaths(value: unknown): value is string[] {
  try {
    return areTexts(value) && value.every((path) => containedPath(path) === path);
  } catch {
    return false; // One leads out.
  }
}
