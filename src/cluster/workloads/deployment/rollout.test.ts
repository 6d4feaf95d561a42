import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { DeploymentSpec } from '../../../api/apps/deployment.ts';
import { type Generation, limitsOf, planProportional, planRollingUpdate } from './rollout.ts';

const spec = (replicas: number, maxSurge: number | string, maxUnavailable: number | string): DeploymentSpec => ({
  replicas,
  selector: {},
  template: { spec: { containers: [] } },
  strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge, maxUnavailable } },
});

const generation = (name: string, replicas: number, available = replicas): Generation => ({
  name,
  replicas,
  available,
});

test('surge rounds up, unavailable rounds down, and both may not be nothing', () => {
  const table: [DeploymentSpec, { totalMax: number; availableMin: number }][] = [
    [spec(4, '25%', '25%'), { totalMax: 5, availableMin: 3 }],
    [spec(10, '25%', '25%'), { totalMax: 13, availableMin: 8 }],
    [spec(1, '25%', '25%'), { totalMax: 2, availableMin: 1 }],
    [spec(3, 0, 1), { totalMax: 3, availableMin: 2 }],
    [spec(3, '0%', '10%'), { totalMax: 3, availableMin: 2 }],
    [spec(0, '25%', '25%'), { totalMax: 0, availableMin: 0 }],
    [
      { ...spec(3, 0, 0), strategy: { type: 'Recreate' } },
      { totalMax: 3, availableMin: 0 },
    ],
  ];
  for (const [given, limits] of table) assert.deepEqual(limitsOf(given), limits, JSON.stringify(given));
});

test('a Deployment with one ReplicaSet is scaled in one step', () => {
  const limits = limitsOf(spec(1, '25%', 0));
  assert.deepEqual(planRollingUpdate(1, limits, generation('new', 0), []), [{ name: 'new', replicas: 1 }]);
  assert.deepEqual(planRollingUpdate(0, limitsOf(spec(0, '25%', 0)), generation('new', 5), []), [
    { name: 'new', replicas: 0 },
  ]);
  assert.deepEqual(planRollingUpdate(1, limits, generation('new', 1), []), []);
});

test('an update first surges, then takes an old pod away for each new one that is available', () => {
  const limits = limitsOf(spec(3, 1, 0));
  assert.deepEqual(planRollingUpdate(3, limits, generation('new', 0), [generation('old', 3)]), [
    { name: 'new', replicas: 1 },
  ]);
  assert.deepEqual(planRollingUpdate(3, limits, generation('new', 1, 0), [generation('old', 3)]), []);
  assert.deepEqual(planRollingUpdate(3, limits, generation('new', 1), [generation('old', 3)]), [
    { name: 'old', replicas: 2 },
  ]);
});

test('old pods that are not available go first, whatever the new ones do', () => {
  const limits = limitsOf(spec(3, 1, 1));
  const plan = planRollingUpdate(3, limits, generation('new', 1, 0), [
    generation('broken', 1, 0),
    generation('old', 2),
  ]);
  assert.deepEqual(
    plan.find(({ name }) => name === 'broken'),
    { name: 'broken', replicas: 0 },
  );
});

test('a paused rollout is scaled in proportion', () => {
  assert.deepEqual(planProportional(20, [generation('a', 5), generation('b', 5)]), [
    { name: 'a', replicas: 10 },
    { name: 'b', replicas: 10 },
  ]);
  assert.deepEqual(planProportional(5, [generation('a', 2), generation('b', 1)]), [
    { name: 'a', replicas: 4 },
    { name: 'b', replicas: 1 },
  ]);
});

test('whatever becomes available when, a rollout stays within its limits and ends', () => {
  const percent = fc.integer({ min: 0, max: 100 }).map((n) => `${n}%`);
  const scenario = fc.record({
    replicas: fc.integer({ min: 0, max: 12 }),
    surge: fc.oneof(percent, fc.integer({ min: 0, max: 12 })),
    unavailable: fc.oneof(percent, fc.integer({ min: 0, max: 12 })),
    old: fc.array(fc.integer({ min: 0, max: 6 }), { maxLength: 3 }),
    chance: fc.infiniteStream(fc.boolean()),
  });
  fc.assert(
    fc.property(scenario, ({ replicas, surge, unavailable, old, chance }) => {
      const limits = limitsOf(spec(replicas, surge, unavailable));
      const current = generation('new', 0);
      const older = old.map((count, i) => generation(`old-${i}`, count));
      const all = [current, ...older];
      const total = () => all.reduce((sum, g) => sum + g.replicas, 0);
      const available = () => all.reduce((sum, g) => sum + g.available, 0);
      for (let round = 0; round < 200; round++) {
        const [totalBefore, availableBefore] = [total(), available()];
        for (const { name, replicas: next } of planRollingUpdate(replicas, limits, { ...current }, older)) {
          const found = all.find((g) => g.name === name);
          assert.ok(found);
          // The worst case: what is available goes last only as far as the ranking can know, which is exactly.
          found.replicas = next;
          found.available = Math.min(found.available, next);
        }
        assert.ok(total() <= Math.max(limits.totalMax, totalBefore), 'more pods than the surge allows');
        assert.ok(available() >= Math.min(limits.availableMin, availableBefore), 'fewer available than allowed');
        if (current.replicas === replicas && total() === replicas) return;
        const isLucky = chance.next().value;
        if (isLucky || round > 50) current.available = current.replicas;
      }
      assert.fail('the rollout does not end');
    }),
  );
});
