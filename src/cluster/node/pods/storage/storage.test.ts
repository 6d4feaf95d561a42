import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Pod } from '../../../../api/core/pod.ts';
import type { PodSpec } from '../../../../api/core/pod-spec.ts';
import { openTestRegistry, type TestRegistry } from '../../testing/test-images.ts';
import { openTestNode, program, type TestNode } from '../../testing/test-node.ts';
import { limitsStorage, storageExcess } from './limits.ts';
import { bytesBelow } from './use.ts';

const pod = (spec: Partial<PodSpec>): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p' },
  spec: { containers: [{ name: 'a' }], ...spec },
});
const limited = (name: string, limit: string) => ({ name, resources: { limits: { 'ephemeral-storage': limit } } });
const scratch = (sizeLimit?: string | number, medium = '') => [
  { name: 'scratch', emptyDir: { medium, ...(sizeLimit === undefined ? {} : { sizeLimit }) } },
];

describe('what a pod may have on the disk', () => {
  const excess = (spec: Partial<PodSpec>, volumes: Record<string, number>, containers: Record<string, number>) =>
    storageExcess(pod(spec), {
      volumes: new Map(Object.entries(volumes)),
      containers: new Map(Object.entries(containers)),
    });

  for (const [what, spec, volumes, containers, message] of [
    ['nothing is limited', { volumes: scratch() }, { scratch: 1e9 }, { a: 1e9 }, undefined],
    ['an emptyDir up to its limit', { volumes: scratch('1Ki') }, { scratch: 1024 }, {}, undefined],
    [
      'an emptyDir beyond its limit',
      { volumes: scratch('1Ki') },
      { scratch: 1025 },
      {},
      'Usage of EmptyDir volume "scratch" exceeds the limit "1Ki". ',
    ],
    ['an emptyDir without a limit is no matter of its own', { volumes: scratch(0) }, { scratch: 1e9 }, {}, undefined],
    [
      'a container beyond its limit, where another has none',
      { containers: [limited('a', '1M'), { name: 'b' }] },
      {},
      { a: 1_000_001, b: 1e9 },
      'Container a exceeded its local ephemeral storage limit "1M". ',
    ],
    [
      'a pod beyond the limits of its containers, volumes included',
      { containers: [limited('a', '1k'), limited('b', '1k')], volumes: scratch() },
      { scratch: 1500 },
      { a: 400, b: 101 },
      'Pod ephemeral local storage usage exceeds the total limit of containers 2000. ',
    ],
    [
      'the only container of a pod',
      { containers: [limited('a', '1Mi')] },
      {},
      { a: 2 ** 20 + 1 },
      'Pod ephemeral local storage usage exceeds the total limit of containers 1Mi. ',
    ],
  ] as [string, Partial<PodSpec>, Record<string, number>, Record<string, number>, string | undefined][]) {
    test(what, () => assert.equal(excess(spec, volumes, containers), message));
  }

  test('is looked at where something of it is limited', () => {
    assert.equal(limitsStorage(pod({})), false);
    assert.equal(limitsStorage(pod({ volumes: scratch() })), false);
    assert.equal(limitsStorage(pod({ volumes: scratch('1Mi', 'Memory') })), false, 'its file system does that');
    assert.equal(limitsStorage(pod({ volumes: scratch('1Mi') })), true);
    assert.equal(limitsStorage(pod({ containers: [limited('a', '1Mi')] })), true);
  });
});

describe('what is on the disk', () => {
  const dir = mkdtempSync(join(tmpdir(), 'kittiwake-storage-'));
  after(() => rmSync(dir, { recursive: true }));

  test('is counted without holes, and without what links lead to', async () => {
    const folder = join(dir, 'volume');
    mkdirSync(join(folder, 'deep'), { recursive: true });
    writeFileSync(join(folder, 'deep/file'), Buffer.alloc(300_000, 1));
    writeFileSync(join(folder, 'hole'), '');
    truncateSync(join(folder, 'hole'), 2 ** 40);
    symlinkSync('/', join(folder, 'link'));
    const counted = await bytesBelow([folder, join(dir, 'away')], new AbortController().signal);
    assert.deepEqual([...counted.keys()], [folder]);
    const bytes = counted.get(folder) ?? 0;
    assert.ok(bytes >= 300_000 && bytes < 400_000, `${bytes}`);
  });
});

describe('a pod that takes more of the disk than it may', () => {
  let registry: TestRegistry;
  let node: TestNode;
  before(async () => {
    registry = await openTestRegistry();
    node = await openTestNode(registry.client, { storagePeriodMs: 100 });
  });
  after(async () => {
    await node.stop();
    await registry.stop();
  });

  test('is evicted in the words of the kubelet', async () => {
    const text = `import { writeFileSync } from 'node:fs';
writeFileSync(process.env.KITTIWAKE_ROOT + '/scratch/full', Buffer.alloc(500_000, 1));
setInterval(() => {}, 1000);`;
    const image = await registry.push([program(text)]);
    const container = { volumeMounts: [{ name: 'scratch', mountPath: '/scratch' }] };
    await node.run('greedy', image, container, { volumes: scratch('100Ki') });
    const message = 'Usage of EmptyDir volume "scratch" exceeds the limit "100Ki". ';
    const failed = await node.until('greedy', 'evicted', (each) => each?.status?.phase === 'Failed');
    assert.deepEqual([failed.status?.reason, failed.status?.message], ['Evicted', message]);
    assert.ok((await node.events('greedy', 'Evicted')).includes(`Evicted: ${message}`));
    await node.until('greedy', 'over', (each) => each?.status?.containerStatuses?.[0]?.state?.terminated !== undefined);
  });
});
