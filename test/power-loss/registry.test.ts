import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Digest, parseDigest } from '../../src/registry/digest.ts';
import { Storage } from '../../src/registry/server/storage.ts';
import type { Found } from './ledger.ts';
import { testPromises } from './suite.ts';

testPromises(
  { name: 'registry', workload: new URL('workloads/registry.ts', import.meta.url), inspect },
  {
    disks: 160,
  },
);

/** All that is in the registry; it reads nothing at its start, so its storage is all there is to open. */
async function inspect(folder: string): Promise<Found> {
  const storage = new Storage(join(folder, 'registry'));
  const found: Found = { states: new Map(), broken: [] };
  const check = (what: string, { algorithm, hex }: Digest, bytes: Buffer) => {
    found.states.set(`${what} ${algorithm}:${hex}`, 'there');
    const actual = createHash(algorithm).update(bytes).digest('hex');
    if (actual !== hex) found.broken.push(`${what} ${hex} has the content of ${actual}`);
  };
  for await (const { digest } of storage.sharedBlobs()) {
    const path = join(folder, 'registry', 'blobs', digest.algorithm, digest.hex.slice(0, 2), digest.hex);
    const actual = createHash(digest.algorithm).update(readFileSync(path)).digest('hex');
    if (actual !== digest.hex) found.broken.push(`the shared blob ${digest.hex} has the content of ${actual}`);
  }
  for (const name of await storage.repositories()) {
    for await (const { digest } of storage.blobsOf(name)) {
      check(`blob ${name}`, digest, readFileSync(storage.blobPath(name, digest)));
    }
    for await (const { digest } of storage.manifestsOf(name)) {
      check(`manifest ${name}`, digest, (await storage.readManifest(name, digest)) ?? Buffer.alloc(0));
    }
    for (const tag of await storage.tags(name)) {
      const digest = (await storage.readTag(name, tag)) ?? '';
      found.states.set(`tag ${name}:${tag}`, digest);
      const target = parseDigest(digest);
      if (!target || !(await storage.hasManifest(name, target))) {
        found.broken.push(`the tag ${name}:${tag} leads to ${JSON.stringify(digest)}, which is not there`);
      }
    }
  }
  return found;
}
