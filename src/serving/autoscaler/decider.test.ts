import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type DeciderState, decide, initialState } from './decider.ts';
import type { ScalingConfig } from './scaling-config.ts';
import { scaling as config } from './testing/scaling.ts';

const calm: DeciderState = { recent: [] };
const now = 1_000_000;

test('how many pods a load wants', () => {
  const cases: [
    name: string,
    stable: number,
    panic: number,
    ready: number,
    over: Partial<ScalingConfig>,
    pods: number,
  ][] = [
    ['nothing to do at one pod', 0, 0, 1, {}, 0],
    ['a part of a pod is a pod', 0.1, 0.1, 1, {}, 1],
    ['the stable average over the target, rounded up', 21, 21, 3, {}, 3],
    ['a panic takes the larger of both', 10, 50, 1, {}, 5],
    ['at the threshold it panics', 10, 40, 2, {}, 4],
    ['under the threshold the panic average does not count', 10, 50, 3, {}, 1],
    ['not more than the scale-up rate at once', 10_000, 10_000, 1, { maxScaleUpRate: 10 }, 10],
    ['not less than half at once', 0, 0, 8, {}, 4],
    ['an unreachable revision goes down without regard', 0, 0, 8, { isReachable: false }, 0],
    ['a revision that wakes gets its activation scale', 1, 1, 0, { activationScale: 3 }, 3],
    ['but does not wake for nothing', 0, 0, 0, { activationScale: 3 }, 0],
  ];
  for (const [name, stableAverage, panicAverage, readyPods, over, pods] of cases) {
    const decision = decide({ stableAverage, panicAverage, readyPods }, calm, { ...config, ...over }, now);
    assert.equal(decision.pods, pods, name);
  }
});

test('the worked example of the docstring', () => {
  const observed = { stableAverage: 90, panicAverage: 500, readyPods: 2 };
  const decision = decide(observed, calm, { ...config, targetPerPod: 70 }, now);
  assert.deepEqual([decision.pods, decision.isPanicking], [8, true]);
});

test('a panic never scales down, and ends a stable window after the load was last over the threshold', () => {
  let { state, pods } = decide({ stableAverage: 5, panicAverage: 50, readyPods: 1 }, calm, config, now);
  assert.equal(pods, 5);
  const quiet = { stableAverage: 5, panicAverage: 5, readyPods: 5 };
  ({ state, pods } = decide(quiet, state, config, now + 30_000));
  assert.equal(pods, 5);
  ({ state, pods } = decide(quiet, state, config, now + 60_000));
  assert.equal(pods, 5);
  const after = decide(quiet, state, config, now + 60_001);
  assert.equal(after.isPanicking, false);
  assert.equal(after.pods, 2, 'half of five at most');
});

test('with a scale-down delay, the most that was wanted within it is kept', () => {
  const delayed = { ...config, scaleDownDelayMs: 30_000 };
  let { state, pods } = decide({ stableAverage: 40, panicAverage: 40, readyPods: 4 }, calm, delayed, now);
  const less = { stableAverage: 20, panicAverage: 20, readyPods: 4 };
  ({ state, pods } = decide(less, state, delayed, now + 29_999));
  assert.equal(pods, 4);
  ({ state, pods } = decide(less, state, delayed, now + 30_000));
  assert.equal(pods, 2);
});

test('what is wanted for long is remembered once, not for each time', () => {
  const delayed = { ...config, scaleDownDelayMs: 3_600_000 };
  let state = calm;
  for (const stableAverage of [40, 20, 20, 20, 20]) {
    ({ state } = decide({ stableAverage, panicAverage: 0, readyPods: 4 }, state, delayed, now + state.recent.length));
  }
  assert.deepEqual(
    state.recent.map(({ pods }) => pods),
    [4, 2],
  );
});

test('a revision that is not sent to any more goes down at once, whatever its scale-down delay', () => {
  const delayed = { ...config, scaleDownDelayMs: 30_000 };
  const { state } = decide({ stableAverage: 40, panicAverage: 40, readyPods: 4 }, calm, delayed, now);
  const idle = { stableAverage: 0, panicAverage: 0, readyPods: 4 };
  assert.equal(decide(idle, state, { ...delayed, isReachable: false }, now + 2_000).pods, 0);
});

test('a control plane begins in panic where several pods run, and only there', () => {
  const panicking = [0, 1, 2].map(
    (readyPods) =>
      decide({ stableAverage: 0, panicAverage: 0, readyPods }, initialState(readyPods, now), config, now).isPanicking,
  );
  assert.deepEqual(panicking, [false, false, true]);
});

test('a restarted control plane does not scale running pods down before it has seen a stable window', () => {
  let state = initialState(6, now);
  let pods = 0;
  for (let s = 2; s <= 60; s += 2) {
    ({ state, pods } = decide({ stableAverage: 0, panicAverage: 0, readyPods: 6 }, state, config, now + s * 1000));
    assert.equal(pods, 6, `after ${s} s`);
  }
  ({ pods } = decide({ stableAverage: 0, panicAverage: 0, readyPods: 6 }, state, config, now + 62_000));
  assert.equal(pods, 3);
});

test('whatever the load, a decision stays within the rates and never takes back a panic', () => {
  const step = fc.record({
    stableAverage: fc.double({ min: 0, max: 5_000, noNaN: true }),
    panicAverage: fc.double({ min: 0, max: 5_000, noNaN: true }),
    readyPods: fc.integer({ min: 0, max: 200 }),
    afterMs: fc.integer({ min: 1, max: 90_000 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      let state = calm;
      let atMs = now;
      let before: { pods: number; isPanicking: boolean } | undefined;
      for (const { afterMs, ...observed } of steps) {
        atMs += afterMs;
        const decision = decide(observed, state, { ...config, maxScaleUpRate: 10 }, atMs);
        if (!decision.isPanicking) {
          assert.ok(decision.pods >= Math.floor(Math.max(1, observed.readyPods) / 2));
          assert.ok(decision.pods <= 10 * Math.max(1, observed.readyPods));
        }
        if (before?.isPanicking && decision.isPanicking) assert.ok(decision.pods >= before.pods);
        before = decision;
        ({ state } = decision);
      }
    }),
  );
});
