import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Probe } from '../../../api/core/pod-spec.ts';
import { VirtualClock } from '../../../lib/virtual-clock.ts';
import { runProbe } from './prober.ts';

interface Seen {
  checks: number[];
  results: [atMs: number, isSuccess: boolean][];
  failures: number;
}

/** Runs a probe for `forMs` against a program that is healthy when `isHealthy(ms)` says so. */
async function watch(probe: Probe, isEager: boolean, forMs: number, isHealthy: (ms: number) => boolean): Promise<Seen> {
  const clock = new VirtualClock(0);
  const seen: Seen = { checks: [], results: [], failures: 0 };
  const abort = new AbortController();
  const running = runProbe({
    probe,
    isEager,
    clock,
    signal: abort.signal,
    check: async () => {
      seen.checks.push(clock.now());
      return isHealthy(clock.now()) ? { isSuccess: true } : { isSuccess: false, message: 'no' };
    },
    onResult: (isSuccess) => seen.results.push([clock.now(), isSuccess]),
    onFailure: () => seen.failures++,
  });
  await clock.advance(forMs);
  abort.abort();
  await running;
  return seen;
}

test('an eager probe sees a program within 5 % of the time that it takes to start', async () => {
  for (const startMs of [10, 40, 300, 900]) {
    const { results } = await watch({ periodSeconds: 10 }, true, 2_000, (ms) => ms >= startMs);
    const [first] = results;
    assert.ok(first?.[1] && first[0] <= startMs * 1.06 + 2, `${startMs} ms: ${first}`);
  }
});

test('an eager probe asks at most each 50 ms after a second, and each period once it has succeeded', async () => {
  const { checks } = await watch({ periodSeconds: 10 }, true, 25_000, (ms) => ms >= 5_000);
  const gaps = checks.slice(1).map((ms, i) => ms - (checks[i] ?? 0));
  assert.ok(gaps.filter((gap) => gap < 50).length < 150);
  assert.deepEqual(gaps.slice(-1), [10_000]);
});

test('the failures of an eager probe count once a period', async () => {
  const probe = { periodSeconds: 2, failureThreshold: 3 };
  const { results, failures } = await watch(probe, true, 7_000, () => false);
  assert.equal(failures, 3);
  assert.deepEqual(
    results.map(([ms, isSuccess]) => [Math.round(ms / 1000), isSuccess]),
    [[6, false]],
  );
});

test('a liveness probe fails after its threshold of periods, and again after as many more', async () => {
  const { results } = await watch({ periodSeconds: 1, failureThreshold: 3 }, false, 6_500, () => false);
  assert.deepEqual(results, [
    [2_000, false],
    [5_000, false],
  ]);
});

test('one success resets the failures', async () => {
  const probe = { periodSeconds: 1, failureThreshold: 3 };
  const { results } = await watch(probe, false, 9_500, (ms) => ms === 0 || ms === 3_000 || ms === 6_000);
  assert.deepEqual(
    results.map(([, isSuccess]) => isSuccess),
    [true, false],
  );
});

test('a success threshold asks for successes in a row', async () => {
  const probe = { periodSeconds: 1, successThreshold: 3 };
  const { results } = await watch(probe, true, 6_500, () => true);
  assert.deepEqual(results, [[2_000, true]]);
});

test('an initial delay is kept', async () => {
  const { checks } = await watch({ initialDelaySeconds: 3 }, true, 4_000, () => true);
  assert.equal(checks[0], 3_000);
});
