/**
 * The node's own folder: images are pulled, synced and removed to make room, containers are started and ended, some
 * pods removed, some left to the next run of the machine. What it keeps is a cache; none of it is promised, but what
 * is used of it must be whole (node.test.ts).
 */
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Pod } from '../../../src/api/core/pod.ts';
import type { RunningContainer } from '../../../src/cluster/node/driver.ts';
import { processDriver } from '../../../src/cluster/node/drivers/process/index.ts';
import { Files } from '../../../src/cluster/node/images/files.ts';
import { ImageStore } from '../../../src/cluster/node/images/store.ts';
import { openTestRegistry, type TestLayer } from '../../../src/cluster/node/testing/test-images.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { makeFolder } from '../../../src/lib/durable.ts';
import { silentLogger } from '../../../src/observe/log.ts';
import { Random } from '../../kit/random.ts';

const dataDir = join(process.env.POWER_LOSS_ROOT ?? '', 'node');
// Or most disks would have nothing to look at.
makeFolder(join(dataDir, 'images', 'layers'));
const shared = { clock: systemClock, log: silentLogger };
const left: RunningContainer[] = [];
const registry = await openTestRegistry();
const files = new Files(systemClock);
const images = await ImageStore.open({
  ...shared,
  dir: join(dataDir, 'images'),
  source: registry.client,
  files,
  policy: { maxCacheBytes: 40_000 },
});
const driver = processDriver({ ...shared, dataDir, address: '127.0.0.1' });
for (const sandbox of await driver.recover()) await sandbox.remove();
if (process.argv[2] !== 'open') await work(new Random(Number(process.argv[2])));
await driver.close();
await files.close();
await registry.stop();

async function work(random: Random): Promise<void> {
  const base = layerOf('base', 30);
  for (let i = 0; i < 8; i++) {
    const reference = await registry.push([base, layerOf(`own-${i}`, 10 + random.below(20))]);
    const image = await images.pull(reference);
    driver.prepare(image);
    const starts = [`pod-${i}`, ...(i % 2 === 0 ? [`more-${i}`] : [])];
    for (const podUid of starts) {
      const never = new AbortController().signal;
      const sandbox = await driver.sandbox(podOf(podUid), never);
      const container = await sandbox.start(
        {
          id: { podUid, container: 'c', restart: 0 },
          spec: { name: 'c' },
          image,
          argv: ['sleep', '1000'],
          workingDir: '/',
          environment: underTheRecorder(),
          mounts: [],
          logPath: join(dataDir, 'logs', podUid, 'c.log'),
        },
        never,
      );
      if (random.next() < 0.7) {
        await pause(20); // Long enough, most of the time, to become the program.
        container.signal('SIGTERM');
        await container.exited;
        if (random.next() < 0.7) await sandbox.remove();
      } else left.push(container);
    }
    if (random.next() < 0.8) await images.sync();
    if (random.next() < 0.5) await images.collect(new Set([image.digest]));
  }
  for (const container of left) container.signal('SIGTERM');
  await Promise.all(left.map((container) => container.exited));
}

function podOf(uid: string): Pod {
  const spec = { containers: [{ name: 'c', ports: [{ containerPort: 8080 }] }] };
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name: uid, uid }, spec };
}

/** Each file is made of its own name, and `count` says how many there are: whoever reads it sees if it is whole. */
function layerOf(name: string, count: number): TestLayer {
  const layer: TestLayer = { [`${name}/`]: { type: 'directory' }, [`${name}/count`]: `${count}` };
  for (let i = 0; i < count; i++) layer[`${name}/f${i}`] = `f${i}\n`.repeat(i % 5 === 0 ? 400 : 10);
  return layer;
}

function underTheRecorder(): Record<string, string> {
  const own = Object.entries(process.env).filter(([key]) => /^(LD_PRELOAD|POWER_LOSS_.*|PATH)$/.test(key));
  return Object.fromEntries(own.map(([key, value]) => [key, value ?? '']));
}
