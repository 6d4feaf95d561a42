/**
 * Four clients push images to the registry over HTTP, in chunks, at once and by mounting; move tags, delete, and the
 * sweep removes what nobody needs.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { systemClock } from '../../../src/lib/clock.ts';
import { Mutexes } from '../../../src/lib/mutexes.ts';
import { silentLogger } from '../../../src/observe/log.ts';
import { collectGarbage } from '../../../src/registry/server/garbage.ts';
import { startRegistry } from '../../../src/registry/server/registry.ts';
import { Storage } from '../../../src/registry/server/storage.ts';
import { Random } from '../../kit/random.ts';
import { note, promised } from '../notes.ts';

const dir = join(process.env.POWER_LOSS_ROOT ?? '', 'registry');
const registry = await startRegistry({ dir, port: 0, clock: systemClock, log: silentLogger });
if (process.argv[2] !== 'open') await work(new Random(Number(process.argv[2])));
await registry.stop();

interface Blob {
  bytes: Buffer;
  digest: string;
}

async function work(random: Random): Promise<void> {
  // Some layers are shared by all.
  const shared = Array.from({ length: 6 }, () => blobOf(random));
  for (let round = 0; round < 2; round++) {
    await Promise.all(Array.from({ length: 4 }, (_, c) => client(`team/app-${c + 4 * round}`, shared, random)));
    await sweep();
  }
}

async function client(name: string, shared: Blob[], random: Random): Promise<void> {
  const pushed: string[] = [];
  for (let i = 0; i < 5; i++) {
    const layers = [blobOf(random), random.pick(shared), random.pick(shared)];
    await Promise.all(layers.map((blob) => push(name, blob, random)));
    const text = JSON.stringify({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...descriptor(layers[0] as Blob) },
      layers: layers.slice(1).map((l) => ({ mediaType: 'application/vnd.oci.image.layer.v1.tar', ...descriptor(l) })),
      annotations: { i: `${i}` },
    });
    const digest = digestOf(Buffer.from(text));
    const tag = random.pick(['latest', 'v1', 'v2']);
    note({ tried: `manifest ${name} ${digest}`, value: 'there' });
    await promised(`tag ${name}:${tag}`, digest, () => call('PUT', `${name}/manifests/${tag}`, 201, text));
    note({ done: `manifest ${name} ${digest}`, value: 'there' });
    pushed.push(digest);
    if (random.next() < 0.3) {
      const gone = random.pick(['latest', 'v1', 'v2']);
      const response = await call('GET', `${name}/manifests/${gone}`);
      if (response.ok)
        await promised(`tag ${name}:${gone}`, null, () => call('DELETE', `${name}/manifests/${gone}`, 202));
    }
    // Into a repository that nobody used before, two at once.
    const small = () => push(`new/${name}-${i}`, blobOf(random), random);
    await Promise.all([small(), small()]);
    if (random.next() < 0.2) {
      const unused = blobOf(random);
      await push(name, unused, random);
      const path = `${name}/blobs/${unused.digest}`;
      await promised(`blob ${name} ${unused.digest}`, null, () => call('DELETE', path, 202));
    }
  }
  const [first = ''] = pushed;
  for (const tag of ['latest', 'v1', 'v2']) {
    const response = await call('HEAD', `${name}/manifests/${tag}`);
    const isOfFirst = response.headers.get('docker-content-digest') === first;
    if (isOfFirst) note({ tried: `tag ${name}:${tag}`, value: null });
  }
  await promised(`manifest ${name} ${first}`, null, () => call('DELETE', `${name}/manifests/${first}`, 202));
}

async function push(name: string, { bytes, digest }: Blob, random: Random): Promise<void> {
  const key = `blob ${name} ${digest}`;
  const how = random.pick(['at once', 'in chunks', 'mounted']);
  await promised(key, 'there', async () => {
    if (how === 'mounted') {
      const response = await call('POST', `${name}/blobs/uploads/?mount=${digest}`);
      if (response.status === 201) return;
    }
    if (how === 'at once') return void (await call('POST', `${name}/blobs/uploads/?digest=${digest}`, 201, bytes));
    const { headers } = await call('POST', `${name}/blobs/uploads/`, 202);
    const place = (headers.get('location') ?? '').replace('/v2/', '');
    const half = Math.floor(bytes.length / 2);
    await call('PATCH', place, 202, bytes.subarray(0, half));
    await call('PUT', `${place}?digest=${digest}`, 201, bytes.subarray(half));
  });
}

/** As the registry itself does once an hour, but as if all of it were old. */
async function sweep(): Promise<void> {
  const storage = new Storage(dir);
  const needed = new Set<string>();
  const blobs: string[] = [];
  const unnamed: string[] = [];
  for (const name of await storage.repositories()) {
    const tagged = await Promise.all((await storage.tags(name)).map((tag) => storage.readTag(name, tag)));
    for await (const { digest } of storage.manifestsOf(name)) {
      const text = `${digest.algorithm}:${digest.hex}`;
      if (!tagged.includes(text)) unnamed.push(`manifest ${name} ${text}`);
      else
        for (const { groups } of `${await storage.readManifest(name, digest)}`.matchAll(/(?<d>sha256:\w{64})/g)) {
          needed.add(`blob ${name} ${groups?.d}`);
        }
    }
    for await (const { digest } of storage.blobsOf(name)) blobs.push(`blob ${name} ${digest.algorithm}:${digest.hex}`);
  }
  const gone = [...unnamed, ...blobs.filter((key) => !needed.has(key))];
  for (const key of gone) note({ tried: key, value: null });
  await collectGarbage(storage, {
    nowMs: Date.now() + 10_000,
    graceMs: 0,
    turns: new Mutexes(),
    digestsInUse: async () => new Set(),
  });
  for (const key of gone) note({ done: key, value: null });
}

async function call(method: string, path: string, wanted?: number, body?: string | Buffer): Promise<Response> {
  const headers = typeof body === 'string' ? { 'content-type': 'application/vnd.oci.image.manifest.v1+json' } : {};
  const sent = body === undefined ? null : new Uint8Array(Buffer.from(body));
  const response = await fetch(`${registry.url}/v2/${path}`, { method, headers, body: sent });
  const text = await response.text();
  if (wanted === undefined || response.status === wanted) return response;
  throw new Error(`${method} ${path}: ${response.status} ${text}`);
}

function blobOf(random: Random): Blob {
  const bytes = Buffer.alloc(random.pick([1, 700, 5000, 70_000]));
  for (let i = 0; i < bytes.length; i++) bytes[i] = random.below(256);
  return { bytes, digest: digestOf(bytes) };
}

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

function descriptor({ bytes, digest }: Blob): { digest: string; size: number } {
  return { digest, size: bytes.length };
}
