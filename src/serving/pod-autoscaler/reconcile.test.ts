import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Condition } from '../../api/meta.ts';
import { conditionSet } from '../../kube/conditions.ts';
import { reportScale } from './reconcile.ts';

const conditions = conditionSet({ happy: 'Ready', dependents: ['Active', 'ScaleTargetInitialized', 'SKSReady'] });
const now = '2026-01-01T00:00:00Z';
const queued: Condition = { type: 'Active', status: 'Unknown', reason: 'Queued' };
const initialized: Condition = { type: 'ScaleTargetInitialized', status: 'True' };

test('whether a revision is active follows from what is wanted and what is ready', () => {
  const cases: [
    name: string,
    before: Condition[],
    want: number,
    ready: number,
    initialScale: number,
    expected: string,
  ][] = [
    ['a new one waits for its pods', [], 1, 0, 1, 'Unknown Queued Unknown'],
    ['it is up', [queued], 1, 1, 1, 'True  True'],
    ['some of its initial pods are up', [queued], 3, 2, 3, 'Unknown Queued Unknown'],
    ['later one pod is enough', [initialized], 3, 1, 3, 'True  True'],
    ['at zero', [initialized], 0, 0, 1, 'False NoTraffic True'],
    ['at zero while the last pod drains', [initialized], 0, 1, 1, 'False NoTraffic True'],
    ['it wakes', [initialized], 1, 0, 1, 'Unknown Queued True'],
    ['it was given up', [queued], 0, 0, 1, 'False TimedOut Unknown'],
    ['it stays given up', [{ type: 'Active', status: 'False', reason: 'TimedOut' }], 0, 0, 1, 'False TimedOut Unknown'],
    ['it begins at zero', [], 0, 0, 0, 'False NoTraffic True'],
  ];
  for (const [name, before, want, ready, initialScale, expected] of cases) {
    const managed = conditions.manage(before, now);
    reportScale(managed, { want, ready }, { minScale: 0, initialScale });
    const active = managed.get('Active');
    const seen = `${active?.status} ${active?.reason ?? ''} ${managed.get('ScaleTargetInitialized')?.status}`;
    assert.equal(seen, expected, name);
  }
});
