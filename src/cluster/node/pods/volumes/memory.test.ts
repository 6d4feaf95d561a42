import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Pod } from '../../../../api/core/pod.ts';
import { makeMemoryVolume, memorySizeOf } from './memory.ts';

const pod = (...memory: (string | undefined)[]): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p' },
  spec: {
    containers: memory.map((each, index) => ({
      name: `c${index}`,
      ...(each === undefined ? {} : { resources: { limits: { memory: each } } }),
    })),
  },
});
const volume = (sizeLimit?: string) => ({
  name: 'v',
  emptyDir: { medium: 'Memory', ...(sizeLimit === undefined ? {} : { sizeLimit }) },
});

describe('a volume in memory', () => {
  for (const [what, sizeLimit, memory, bytes] of [
    ['is as large as the machine lets it be', undefined, [undefined], undefined],
    ['is as large as it says', '1Ki', [undefined, '4Ki'], 1024],
    ['is no larger than what the pod may have', undefined, ['1Ki', '2Ki'], 3072],
    ['is the smaller of the two', '8Ki', ['1Ki'], 1024],
    ['has no limit of nothing', '0', ['1Ki', '0'], undefined],
  ] as const) {
    test(what, () => assert.equal(memorySizeOf(volume(sizeLimit), pod(...memory)), bytes));
  }

  test('is one on the disk where a sandbox has none', async () => {
    assert.equal(await makeMemoryVolume(volume(), pod(undefined), {}), undefined);
  });
});
