import assert from 'node:assert/strict';
import { test } from 'node:test';
import { retryAfterMs, retryDelayMs } from './backoff.ts';
import { delivery } from './testing/dispatching.ts';

test('delays before retries grow as the policy says, up to the maximum', () => {
  const delays = (policy: 'linear' | 'exponential', delayMaxMs = 1e9) =>
    [1, 2, 3, 4].map((retry) => retryDelayMs({ ...delivery, policy, delayMs: 200, delayMaxMs }, retry));
  assert.deepEqual(delays('exponential'), [200, 400, 800, 1600]);
  assert.deepEqual(delays('linear'), [200, 400, 600, 800]);
  assert.deepEqual(delays('exponential', 500), [200, 400, 500, 500]);
});

test('Retry-After is seconds or a date, and anything else is nothing', () => {
  const now = Date.parse('2026-01-01T00:00:00Z');
  const table: [header: string | undefined, ms: number][] = [
    ['3', 3000],
    ['0', 0],
    ['Thu, 01 Jan 2026 00:00:10 GMT', 10_000],
    ['Thu, 01 Jan 2015 00:00:10 GMT', 0],
    ['soon', 0],
    ['-1', 0],
    [undefined, 0],
  ];
  for (const [header, ms] of table) assert.equal(retryAfterMs(header, now), ms, header);
});
