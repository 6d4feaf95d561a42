import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { processDriver } from '../../src/cluster/node/drivers/process/index.ts';
import { WorkingCopies } from '../../src/cluster/node/drivers/process/working-copies.ts';
import { Files } from '../../src/cluster/node/images/files.ts';
import { ImageStore } from '../../src/cluster/node/images/store.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { silentLogger } from '../../src/observe/log.ts';
import type { Found } from './ledger.ts';
import { testPromises } from './suite.ts';

const shared = { clock: systemClock, log: silentLogger };

testPromises(
  { name: 'node', workload: new URL('workloads/node.ts', import.meta.url), inspect },
  {
    disks: 60,
  },
);

/** As the next agent opens it, after the machine has started anew. */
async function inspect(folder: string): Promise<Found> {
  const dataDir = join(folder, 'node');
  mkdirSync(join(dataDir, 'images'), { recursive: true });
  const broken: string[] = [];
  const files = new Files(systemClock);
  const source = { resolve: gone, manifest: gone, blob: gone };
  const store = await ImageStore.open({ ...shared, dir: join(dataDir, 'images'), source, files });
  // What it has not removed, it goes by: also a layer that no image has any more.
  for (const hex of readdirSync(join(dataDir, 'images', 'layers'))) {
    broken.push(...missing(join(dataDir, 'images', 'layers', hex, 'root')));
  }
  for (const name of readdirSync(join(dataDir, 'images')).filter((file) => file.endsWith('.json'))) {
    const image = store.find(`registry.localhost/test/any@sha256:${name.replace('.json', '')}`);
    if (!image) continue;
    const copies = new WorkingCopies({ ...shared, dir: dataDir, files });
    const place = join(dataDir, 'pods', 'new', 'c');
    await copies.take(image, place);
    broken.push(...missing(join(place, 'root')));
    await copies.close();
  }
  const driver = processDriver({ ...shared, dataDir, address: '127.0.0.1' });
  for (const sandbox of await driver.recover()) {
    if (sandbox.containers.length > 0) broken.push(`${sandbox.podUid} is said to run on`);
    await sandbox.remove();
  }
  const left = await driver.recover();
  if (left.length > 0) broken.push(`pods cannot be removed: ${left.map(({ podUid }) => podUid)}`);
  await driver.close();
  await files.close();
  return { states: new Map(), broken };
}

/** What an image lacks: see layerOf in the workload. */
function missing(root: string): string[] {
  return readdirSync(root).flatMap((folder) => {
    const count = Number(readFileIfThere(join(root, folder, 'count')));
    const names = Array.from({ length: count }, (_, i) => `f${i}`);
    const torn = names.filter((name, i) => {
      return readFileIfThere(join(root, folder, name)) !== `${name}\n`.repeat(i % 5 === 0 ? 400 : 10);
    });
    if (count >= 10 && torn.length === 0) return [];
    return [`${join(root, folder)} lacks ${torn.length === 0 ? 'its count' : torn.slice(0, 5)} of ${count}`];
  });
}

function readFileIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined; // That is what is asked.
  }
}

function gone(): Promise<never> {
  return Promise.reject(new Error('the registry is away'));
}
