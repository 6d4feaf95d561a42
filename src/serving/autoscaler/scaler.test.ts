import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RevisionScaler, type ScaleTarget } from './scaler.ts';
import type { ScalingConfig } from './scaling-config.ts';
import { scaling } from './testing/scaling.ts';

const config: ScalingConfig = { ...scaling, targetPerPod: 7 };
const t0 = 1_700_000_000_000;
const up = (target: Partial<ScaleTarget> = {}): ScaleTarget => ({
  replicas: 1,
  readyPods: 1,
  isInitialized: true,
  activeSinceMs: t0,
  progressDeadlineMs: 600_000,
  ...target,
});
const atZero: ScaleTarget = { replicas: 0, readyPods: 0, isInitialized: true, progressDeadlineMs: 600_000 };
const load = (averageConcurrency: number, queued = 0) => ({
  namespace: 'default',
  name: 'r',
  averageConcurrency,
  requestCount: averageConcurrency,
  queued,
});

test('a waiting request wakes a revision from zero at once, to its activation scale', () => {
  for (const [activationScale, pods] of [
    [1, 1],
    [3, 3],
  ] as const) {
    const scaler = new RevisionScaler({ ...config, activationScale }, 0, t0);
    assert.equal(scaler.choose(atZero, t0 + 100_000), 0);
    scaler.record('g', load(0, 1), t0 + 100_000);
    assert.equal(scaler.choose(atZero, t0 + 100_000), pods);
  }
});

test('a request that is reported at once and again in its second counts once', () => {
  const scaler = new RevisionScaler({ ...config, targetPerPod: 1 }, 0, t0);
  for (let i = 1; i <= 5; i++) scaler.record('g', load(0, i), t0 + 100 * i);
  scaler.record('g', load(4.5), t0 + 900);
  assert.equal(scaler.choose(atZero, t0 + 900), 5);
});

test('what different gateways report adds up', () => {
  const scaler = new RevisionScaler(config, 1, t0);
  scaler.record('a', load(7), t0);
  scaler.record('b', load(7), t0);
  assert.equal(scaler.choose(up(), t0), 2);
});

test('a new revision is held for a stable window after it became active, then goes to zero', () => {
  const scaler = new RevisionScaler(config, 0, t0);
  assert.equal(scaler.choose(up(), t0 + 59_000), 1);
  assert.equal(scaler.choose(up(), t0 + 60_000), 0);
});

test('zero comes a stable window and the retention period after the last request', () => {
  const scaler = new RevisionScaler({ ...config, podRetentionMs: 10_000 }, 1, t0);
  for (let s = 0; s <= 100; s++) scaler.record('g', load(1), t0 + s * 1000);
  assert.equal(scaler.choose(up(), t0 + 169_000), 1);
  assert.equal(scaler.choose(up(), t0 + 170_000), 0);
});

test('a control plane that starts does not scale to zero what it has not watched for a stable window', () => {
  const startedAt = t0 + 3_600_000;
  const scaler = new RevisionScaler(config, 1, startedAt);
  assert.equal(scaler.choose(up(), startedAt), 1);
  assert.equal(scaler.choose(up(), startedAt + 59_999), 1);
  assert.equal(scaler.choose(up(), startedAt + 60_000), 0);
});

test('while gateways are away from a routed revision, nothing is taken from it', () => {
  const scaler = new RevisionScaler({ ...config, isRouted: true }, 2, t0);
  const two = up({ replicas: 2, readyPods: 2 });
  for (let s = 2; s <= 300; s += 2) assert.equal(scaler.choose(two, t0 + s * 1000), 2);
  let replicas = 2;
  for (let s = 302; s <= 400; s += 2) {
    scaler.record('g', load(0), t0 + s * 1000);
    replicas = scaler.choose(up({ replicas, readyPods: replicas }), t0 + s * 1000);
  }
  assert.equal(replicas, 0, 'reported idle, it goes');
});

test('a long request keeps its pod, though no new one comes', () => {
  const scaler = new RevisionScaler(config, 1, t0);
  for (let s = 0; s <= 300; s++) {
    scaler.record('g', { ...load(1), requestCount: 0 }, t0 + s * 1000);
    assert.equal(scaler.choose(up(), t0 + s * 1000), 1);
  }
});

test('bounds hold: minimum, maximum, initial scale until it was reached, no zero when it is disabled', () => {
  const later = t0 + 1_000_000;
  const cases: [name: string, over: Partial<ScalingConfig>, target: ScaleTarget, load: number, replicas: number][] = [
    ['minimum', { minScale: 3 }, up({ replicas: 3, readyPods: 3 }), 0, 3],
    ['maximum', { maxScale: 4 }, up(), 700, 4],
    ['a maximum of one', { maxScale: 1 }, up(), 700, 1],
    ['minimum, from zero', { minScale: 2 }, atZero, 0, 2],
    ['initial scale', { initialScale: 5 }, up({ isInitialized: false }), 0, 5],
    ['initial scale is bounded too', { initialScale: 5, maxScale: 2 }, up({ isInitialized: false }), 0, 2],
    ['zero disabled', { isScaleToZeroEnabled: false }, up(), 0, 1],
  ];
  for (const [name, over, target, value, replicas] of cases) {
    const scaler = new RevisionScaler({ ...config, ...over }, 1, t0);
    if (value > 0) scaler.record('g', load(value), later);
    assert.equal(scaler.choose(target, later), replicas, name);
  }
});

test('a revision that does not come up within its progress deadline is given up, and stays so', () => {
  const scaler = new RevisionScaler(config, 0, t0);
  const activating = (replicas: number): ScaleTarget => ({
    replicas,
    readyPods: 0,
    isInitialized: false,
    activatingSinceMs: t0,
    progressDeadlineMs: 60_000,
  });
  assert.equal(scaler.choose(activating(1), t0 + 90_000), 1);
  assert.equal(scaler.choose(activating(1), t0 + 90_001), 0);
  const { activatingSinceMs: _, ...givenUp } = activating(0);
  assert.equal(scaler.choose(givenUp, t0 + 92_001), 0);
});

test('a hopeless revision is given up at once, whatever its minimum, unless a request waits for it', () => {
  const scaler = new RevisionScaler({ ...config, minScale: 2, initialScale: 3 }, 0, t0);
  const hopeless = { replicas: 3, readyPods: 0, isInitialized: false, isHopeless: true, progressDeadlineMs: 60_000 };
  assert.equal(scaler.choose(hopeless, t0), 0);
  assert.equal(scaler.choose({ ...hopeless, replicas: 0 }, t0 + 2_000), 0);
  scaler.record('g', load(0, 1), t0 + 4_000);
  assert.equal(scaler.choose(hopeless, t0 + 4_000), 3);
});

test('however many gateways say how much, what is remembered and what is wanted stays bounded', () => {
  const scaler = new RevisionScaler({ ...config, maxScale: 20 }, 1, t0);
  for (let i = 0; i < 10_000; i++) scaler.record(`gateway-${i}`, load(1e9, 1e9), t0 + (i % 7) * 100);
  assert.equal(scaler.choose(up(), t0 + 1_000), 20);
  assert.ok(scaler.gatewaysHeard <= 65, `${scaler.gatewaysHeard} gateways`);
});

test('the gateways that fell silent are forgotten first, and then those that came first', () => {
  const scaler = new RevisionScaler({ ...config, panicThreshold: 1e9 }, 1, t0);
  const many = (count: number, name: string, second: number) => {
    for (let i = 0; i < count; i++) scaler.record(`${name}-${i}`, load(0), t0 + second * 1000);
  };
  scaler.record('first', load(7), t0);
  many(36, 'silent', 8);
  many(4, 'still there', 9);
  scaler.record('first', load(7), t0 + 10_000);
  many(23, 'new', 10);
  assert.equal(scaler.gatewaysHeard, 64);
  many(1, 'newest', 10);
  assert.equal(scaler.gatewaysHeard, 1 + 4 + 23 + 1);
  many(35, 'newer still', 10);
  assert.equal(scaler.gatewaysHeard, 64);
  many(1, 'the last', 10);
  assert.equal(scaler.gatewaysHeard, 32, 'none is silent now: half of the most that are remembered');
});

test('few gateways are remembered, however long they are silent', () => {
  const scaler = new RevisionScaler(config, 1, t0);
  for (let second = 0; second < 100; second += 10) scaler.record(`g${second}`, load(0), t0 + second * 1000);
  assert.equal(scaler.gatewaysHeard, 10);
});

test('a change of configuration holds from the next choice on', () => {
  const scaler = new RevisionScaler(config, 1, t0);
  scaler.configure({ ...config, minScale: 3 });
  assert.equal(scaler.choose(up(), t0), 3);
});

for (const [what, change, pods, isPanicking] of [
  ['nothing else', { minScale: 1 }, 10, true],
  ['the stable window', { stableWindowMs: 30_000 }, 10, true],
  ['the stable window, not panicking', { stableWindowMs: 30_000, panicThreshold: 1e9 }, 0, false],
  ['the panic threshold', { panicThreshold: 1e9 }, 10, false],
  ['the panic window', { panicWindowMs: 3_000 }, 10, false],
] as const) {
  test(`a window starts anew when its length changes: ${what}`, () => {
    const scaler = new RevisionScaler(config, 1, t0);
    scaler.record('g', load(70), t0);
    scaler.configure({ ...config, ...change });
    scaler.choose(up(), t0);
    assert.deepEqual([scaler.lastDecision?.pods, scaler.lastDecision?.isPanicking], [pods, isPanicking]);
  });
}

test('a panic lasts from one choice to the next', () => {
  const scaler = new RevisionScaler(config, 1, t0);
  scaler.record('g', load(70), t0);
  assert.equal(scaler.choose(up(), t0), 10);
  assert.equal(scaler.choose(up({ replicas: 10, readyPods: 10 }), t0 + 20_000), 10);
});

test('gateways are away once they said nothing for more than ten seconds', () => {
  const four = up({ replicas: 4, readyPods: 4 });
  for (const [silentMs, replicas] of [
    [10_000, 2],
    [10_001, 4],
  ] as const) {
    const scaler = new RevisionScaler({ ...config, isRouted: true }, 1, t0);
    assert.equal(scaler.choose(four, t0 + silentMs), replicas, `${silentMs} ms`);
  }
});

for (const [what, metric, stats] of [
  ['waits', 'rps', { queued: 1, requestCount: 0, averageConcurrency: 0 }],
  ['was there for a part of a second', 'rps', { queued: 0, requestCount: 0, averageConcurrency: 0.1 }],
  ['came and went', 'concurrency', { queued: 0, requestCount: 1, averageConcurrency: 0 }],
] as const) {
  test(`a request that ${what} is wanted to be answered for a stable window, though the metric is zero`, () => {
    const scaler = new RevisionScaler({ ...config, metric, activationScale: 3 }, 0, t0 - 100_000);
    scaler.record('g', { ...load(0), ...stats }, t0);
    assert.equal(scaler.choose(atZero, t0), 3);
    assert.equal(scaler.choose(up({ replicas: 2 }), t0 + 1_000), 1);
    assert.equal(scaler.choose(atZero, t0 + 60_000), 3);
    assert.equal(scaler.choose(atZero, t0 + 60_001), 0);
  });
}

test('a report that nothing is to do wakes no revision', () => {
  const scaler = new RevisionScaler(config, 0, t0 - 100_000);
  scaler.record('g', load(0), t0);
  assert.equal(scaler.choose(atZero, t0), 0);
});

test('a revision that is not active yet and that nobody asks for keeps its initial scale, and at least one pod', () => {
  for (const [initialScale, replicas, kept] of [
    [3, 5, 3],
    [3, 2, 2],
    [0, 4, 1],
  ] as const) {
    const scaler = new RevisionScaler({ ...config, initialScale }, 1, t0);
    const { activeSinceMs: _, ...inactive } = up({ replicas });
    assert.equal(scaler.choose(inactive, t0), kept);
  }
});

test('by concurrency what is in flight counts, not the arrivals', () => {
  const scaler = new RevisionScaler(config, 1, t0);
  scaler.record('g', { ...load(7), requestCount: 700 }, t0);
  assert.equal(scaler.choose(up(), t0), 1);
});

test('by rps the arrivals count, not what is in flight', () => {
  const scaler = new RevisionScaler({ ...config, metric: 'rps', targetPerPod: 100 }, 1, t0);
  scaler.record('g', { ...load(1), requestCount: 150 }, t0);
  assert.equal(scaler.choose(up(), t0), 2);
});

test('whatever comes, the scale is within its bounds, and an idle revision ends at its minimum or zero', () => {
  const traffic = fc.array(fc.integer({ min: 0, max: 500 }), { maxLength: 120 });
  fc.assert(
    fc.property(
      traffic,
      fc.integer({ min: 0, max: 3 }),
      fc.integer({ min: 3, max: 20 }),
      (loads, minScale, maxScale) => {
        const scaler = new RevisionScaler({ ...config, minScale, maxScale }, 1, t0);
        let replicas = Math.max(1, minScale);
        const step = (second: number, value: number) => {
          const nowMs = t0 + second * 1000;
          if (value > 0) scaler.record('g', load(value), nowMs);
          const target = up({ replicas, readyPods: replicas, ...(replicas === 0 ? {} : { activeSinceMs: t0 }) });
          replicas = scaler.choose(target, nowMs);
          assert.ok(replicas >= minScale && replicas <= maxScale, `${replicas} at ${second}`);
          if (value > 0) assert.ok(replicas > 0);
        };
        for (const [second, value] of loads.entries()) step(second, value);
        for (let second = loads.length; second < loads.length + 400; second += 2) step(second, 0);
        assert.equal(replicas, minScale);
      },
    ),
    { numRuns: 60 },
  );
});
