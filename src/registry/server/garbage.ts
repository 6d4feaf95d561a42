import { messageOf } from '../../lib/errors.ts';
import type { Mutexes } from '../../lib/mutexes.ts';
import { type Manifest, parseManifest, requiredBlobs } from '../manifest.ts';
import { deleteManifest } from './manifests.ts';
import type { Storage } from './storage.ts';

export interface GarbageCollected {
  manifests: number;
  blobs: number;
  bytes: number;
}

export interface GarbageOptions {
  nowMs: number;
  /** Only what was last pushed longer ago than this goes: blobs come before their manifest, it before what names it. */
  graceMs: number;
  /** Held, by the repository's name, while one is swept: the requests that put manifests take turns with it. */
  turns: Mutexes;
  /** The digests that someone outside the registry names; without it, no manifest goes. */
  digestsInUse?: (() => Promise<ReadonlySet<string>>) | undefined;
  /** Told of a repository that could not be swept, for example for a damaged manifest; the others are. */
  onFailure?: (name: string, error: unknown) => void;
}

/**
 * Removes what nobody needs: manifests without a tag that no other manifest and nobody outside names, blobs of a
 * repository that none of its manifests names, files that no repository links to any more, and
 * what was never written to its end.
 */
export async function collectGarbage(storage: Storage, options: GarbageOptions): Promise<GarbageCollected> {
  const beforeMs = options.nowMs - options.graceMs;
  const collected = { manifests: 0, blobs: 0, bytes: 0 };
  for (const name of await storage.repositories()) {
    const swept = options.turns.hold(name, undefined, async () => {
      collected.manifests += await deleteManifests(storage, name, beforeMs, options.digestsInUse);
      await deleteBlobs(storage, name, beforeMs);
      await storage.deleteUnfinished(name, beforeMs);
    });
    await swept.catch((error: unknown) => options.onFailure?.(name, error));
  }
  for await (const { digest, links, sizeBytes } of storage.sharedBlobs()) {
    if (links > 1) continue;
    await storage.deleteSharedBlob(digest);
    collected.blobs++;
    collected.bytes += sizeBytes;
  }
  return collected;
}

/** Who uses what is asked last, when it is known what would go: an answer from before could miss a newcomer. */
async function deleteManifests(
  storage: Storage,
  name: string,
  beforeMs: number,
  digestsInUse: GarbageOptions['digestsInUse'],
): Promise<number> {
  if (!digestsInUse) return 0;
  const unnamed = await unnamedManifests(storage, name, beforeMs);
  if (unnamed.length === 0) return 0;
  const inUse = await digestsInUse();
  const garbage = unnamed.filter((digest) => !inUse.has(digest));
  for (const text of garbage) await deleteManifest(storage, name, text);
  return garbage.length;
}

/** The digests of old manifests that no tag, no index and no subject that is there holds on to. */
async function unnamedManifests(storage: Storage, name: string, beforeMs: number): Promise<string[]> {
  const manifests = await manifestsOf(storage, name);
  const named = new Set(await Promise.all((await storage.tags(name)).map((tag) => storage.readTag(name, tag))));
  for (const { manifest } of manifests.values()) for (const child of manifest.manifests ?? []) named.add(child.digest);
  return [...manifests]
    .filter(([digest, { manifest, changedMs }]) => {
      const hasSubject = manifest.subject !== undefined && manifests.has(manifest.subject.digest);
      return changedMs < beforeMs && !named.has(digest) && !hasSubject;
    })
    .map(([digest]) => digest);
}

async function deleteBlobs(storage: Storage, name: string, beforeMs: number): Promise<void> {
  const needed = new Set<string>();
  for (const { manifest } of (await manifestsOf(storage, name)).values()) {
    for (const blob of requiredBlobs(manifest)) needed.add(blob.digest);
  }
  for await (const { digest, changedMs } of storage.blobsOf(name)) {
    const isNeeded = needed.has(`${digest.algorithm}:${digest.hex}`);
    if (!isNeeded && changedMs < beforeMs) await storage.deleteOldBlob(name, digest, beforeMs);
  }
}

async function manifestsOf(
  storage: Storage,
  name: string,
): Promise<Map<string, { manifest: Manifest; changedMs: number }>> {
  const found = new Map<string, { manifest: Manifest; changedMs: number }>();
  for await (const { digest, changedMs } of storage.manifestsOf(name)) {
    const bytes = await storage.readManifest(name, digest);
    const text = `${digest.algorithm}:${digest.hex}`;
    if (bytes) found.set(text, { manifest: parsed(bytes, name, text), changedMs });
  }
  return found;
}

/** Without what it says nobody knows what else is needed: its repository is left alone. */
function parsed(bytes: Buffer, name: string, digest: string): Manifest {
  try {
    return parseManifest(bytes);
  } catch (error) {
    const remedy = 'delete it by its digest, or push it again';
    throw new Error(`the manifest ${digest} of ${name} is damaged (${messageOf(error)}): ${remedy}`, { cause: error });
  }
}
