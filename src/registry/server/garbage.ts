import { parseManifest, requiredBlobs } from '../manifest.ts';
import type { Storage } from './storage.ts';

export interface GarbageCollected {
  blobs: number;
  bytes: number;
}

/**
 * Removes what no manifest needs: blobs of a repository that none of its manifests names, and files that no repository
 * links to any more. Only what has been so for longer than `graceMs` goes, because a push brings blobs before their
 * manifest. Manifests stay until they are deleted (DELETE /v2/NAME/manifests/DIGEST): someone may hold their digest.
 */
export async function collectGarbage(storage: Storage, nowMs: number, graceMs: number): Promise<GarbageCollected> {
  const beforeMs = nowMs - graceMs;
  for (const name of await storage.repositories()) {
    const needed = await neededBlobs(storage, name);
    for await (const { digest, changedMs } of storage.blobsOf(name)) {
      const isNeeded = needed.has(`${digest.algorithm}:${digest.hex}`);
      if (!isNeeded && changedMs < beforeMs) await storage.deleteBlob(name, digest);
    }
  }
  const collected = { blobs: 0, bytes: 0 };
  for await (const { digest, links, sizeBytes } of storage.sharedBlobs()) {
    if (links > 1) continue;
    await storage.deleteSharedBlob(digest);
    collected.blobs++;
    collected.bytes += sizeBytes;
  }
  return collected;
}

async function neededBlobs(storage: Storage, name: string): Promise<Set<string>> {
  const needed = new Set<string>();
  for await (const digest of storage.manifestsOf(name)) {
    const bytes = await storage.readManifest(name, digest);
    if (bytes) for (const blob of requiredBlobs(parseManifest(bytes))) needed.add(blob.digest);
  }
  return needed;
}
