/** When images that nobody uses are removed: the kubelet's thresholds, and a bound of our own. */
export interface CollectionPolicy {
  /** From this share of the file system in use on, images go until it is at `lowPercent`; 85 and 80. */
  highPercent: number;
  lowPercent: number;
  /** So long after it was last used, and after it came, an image stays whatever the disk is like; 2 minutes. */
  minAgeMs: number;
  /** Nobody has used it for so long: it goes, whatever there is room for. Not at all unless given. */
  maxAgeMs: number;
  /** What the layers of all may take, unpacked; 5 GiB. */
  maxCacheBytes: number;
}

export const defaultPolicy: CollectionPolicy = {
  highPercent: 85,
  lowPercent: 80,
  minAgeMs: 120_000,
  maxAgeMs: Number.POSITIVE_INFINITY,
  maxCacheBytes: 5 * 2 ** 30,
};

export interface CollectableImage {
  digest: string;
  /** The unpacked ones, with their sizes: what images share counts once. */
  layers: readonly { digest: string; sizeBytes: number }[];
  detectedMs: number;
  lastUsedMs: number;
  isUsed: boolean;
}

export interface Disk {
  capacityBytes: number;
  availableBytes: number;
}

/** What is to go, and what it should have freed and could not. */
export interface Collection {
  digests: string[];
  /** More than 0 when the disk is fuller than it should be, and nothing else may go. */
  missingBytes: number;
}

/**
 * Which images go, the longest unused first. Example: of a disk of 100 GiB, 10 are available: 90 % is in use, so images
 * go until 20 are. A layer is freed with the last image that has it.
 */
export function chooseImages(
  images: readonly CollectableImage[],
  disk: Disk | undefined,
  policy: CollectionPolicy,
  nowMs: number,
): Collection {
  const holders = new Map<string, number>();
  let cacheBytes = 0;
  for (const { layers } of images) {
    for (const { digest, sizeBytes } of new Set(layers)) {
      const count = holders.get(digest) ?? 0;
      if (count === 0) cacheBytes += sizeBytes;
      holders.set(digest, count + 1);
    }
  }
  let missingBytes = bytesToFree(disk, policy);
  const digests: string[] = [];
  const unused = images.filter(({ isUsed }) => !isUsed);
  for (const image of unused.sort((a, b) => a.lastUsedMs - b.lastUsedMs || a.detectedMs - b.detectedMs)) {
    const idleMs = nowMs - Math.max(image.lastUsedMs, image.detectedMs);
    const isForDisk = missingBytes > 0 && idleMs >= policy.minAgeMs;
    if (!isForDisk && cacheBytes <= policy.maxCacheBytes && idleMs <= policy.maxAgeMs) continue;
    digests.push(image.digest);
    for (const { digest, sizeBytes } of new Set(image.layers)) {
      const left = (holders.get(digest) ?? 1) - 1;
      holders.set(digest, left);
      if (left > 0) continue;
      cacheBytes -= sizeBytes;
      missingBytes -= sizeBytes;
    }
  }
  return { digests, missingBytes: Math.max(0, missingBytes) };
}

function bytesToFree(disk: Disk | undefined, { highPercent, lowPercent }: CollectionPolicy): number {
  if (!disk || disk.capacityBytes <= 0) return 0;
  const { capacityBytes, availableBytes } = disk;
  const usedPercent = 100 - Math.floor((availableBytes * 100) / capacityBytes);
  return usedPercent < highPercent ? 0 : Math.floor((capacityBytes * (100 - lowPercent)) / 100) - availableBytes;
}
