import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backoffDelayMs, jitteredBackoffDelayMs } from './backoff.ts';

const policy = { firstMs: 5, maxMs: 1000, factor: 2 };

test('delays double from the first to the bound, and stay there however often it is retried', () => {
  assert.deepEqual(
    [0, 1, 2, 7, 8, 1e9].map((attempt) => backoffDelayMs(policy, attempt)),
    [5, 10, 20, 640, 1000, 1000],
  );
});

test('jitter spreads a delay over a quarter to each side', () => {
  assert.deepEqual(
    [0, 0.5, 1].map((random) => jitteredBackoffDelayMs(policy, 2, random)),
    [15, 20, 25],
  );
});
