import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type CollectableImage, chooseImages, defaultPolicy } from './collection.ts';

describe('which images are collected', () => {
  const nowMs = 1_000_000_000;
  const gib = 2 ** 30;
  const layer = (digest: string, sizeBytes = gib) => ({ digest, sizeBytes });
  const image = (digest: string, minutes: number, more: Partial<CollectableImage> = {}): CollectableImage => ({
    ...{ digest, layers: [layer(digest)], isUsed: false },
    ...{ lastUsedMs: nowMs - minutes * 60_000, detectedMs: nowMs - minutes * 60_000 },
    ...more,
  });
  /** Of 100 GiB, with so many available. */
  const disk = (available: number) => ({ capacityBytes: 100 * gib, availableBytes: available * gib });
  const roomy = { ...defaultPolicy, maxCacheBytes: Number.POSITIVE_INFINITY };
  const base = layer('base', 2 * gib);

  for (const [what, images, available, policy, expected, missing] of [
    ['none while the disk is below the threshold', [image('a', 60)], 16, {}, [], 0],
    [
      'the longest unused, until the disk is at the lower one',
      [image('a', 9), image('b', 30), image('c', 20)],
      18,
      {},
      [],
      0,
    ],
    [
      'at 85 % as many as bring it to 80',
      ['a', 'b', 'c', 'd', 'e', 'f'].map((d, i) => image(d, 60 - i)),
      15,
      {},
      ['a', 'b', 'c', 'd', 'e'],
      0,
    ],
    ['none that is in use', [image('a', 60, { isUsed: true }), image('b', 5)], 15, {}, ['b'], 4],
    ['none that was used within two minutes', [image('a', 1), image('b', 60, { lastUsedMs: nowMs })], 10, {}, [], 10],
    ['none that came within two minutes', [image('a', 60, { detectedMs: nowMs })], 10, {}, [], 10],
    [
      'a shared layer is freed with the last that has it',
      [image('a', 9, { layers: [base, layer('a')] }), image('b', 8, { layers: [base, layer('b')] }), image('c', 7)],
      16.5,
      { highPercent: 80 },
      ['a', 'b'],
      0,
    ],
    [
      'a layer that one in use has is not freed',
      [image('a', 9, { layers: [base] }), image('b', 8, { layers: [base], isUsed: true })],
      18,
      { highPercent: 80 },
      ['a'],
      2,
    ],
    [
      'what nobody has used for too long, whatever room there is',
      [image('a', 61), image('b', 59)],
      90,
      { maxAgeMs: 3_600_000 },
      ['a'],
      0,
    ],
    [
      'what is beyond our own bound, however young',
      [image('a', 1), image('b', 0)],
      90,
      { maxCacheBytes: 1.5 * gib },
      ['a'],
      0,
    ],
    [
      'what images share counts once against that bound',
      [image('a', 9, { layers: [base] }), image('b', 8, { layers: [base] })],
      90,
      { maxCacheBytes: 2 * gib },
      [],
      0,
    ],
    ['none where the disk says nothing', [image('a', 60)], 0, { capacity: 0 }, [], 0],
  ] as const) {
    test(what, () => {
      const size = 'capacity' in policy ? { capacityBytes: 0, availableBytes: 0 } : disk(available);
      const { digests, missingBytes } = chooseImages([...images], size, { ...roomy, ...policy }, nowMs);
      assert.deepEqual([digests, missingBytes / gib], [expected, missing]);
    });
  }
});
