import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Condition } from '../api/meta.ts';
import { conditionSet } from './conditions.ts';

const set = conditionSet({ happy: 'Ready', dependents: ['A', 'B'], informational: ['Info'] });
const earlier = '2026-01-01T00:00:00Z';
const now = '2026-01-01T00:01:00Z';

test('everything is Unknown before anything is known', () => {
  const { conditions } = set.manage(undefined, now);
  assert.deepEqual(
    conditions.map(({ type, status }) => `${type}=${status}`),
    ['A=Unknown', 'B=Unknown', 'Ready=Unknown'],
  );
});

test('the happy condition is True only when all dependents are', () => {
  const manager = set.manage(undefined, now);
  manager.markTrue('A');
  assert.equal(manager.isTrue('Ready'), false);
  manager.markTrue('B');
  assert.equal(manager.isTrue('Ready'), true);
});

test('a False dependent speaks for the happy condition, before an Unknown one', () => {
  const manager = set.manage(undefined, now);
  manager.markUnknown('A', 'Waiting', 'not yet');
  manager.markFalse('B', 'Broken', 'it broke');
  assert.deepEqual(manager.get('Ready'), {
    type: 'Ready',
    status: 'False',
    reason: 'Broken',
    message: 'it broke',
    lastTransitionTime: now,
  });
});

test('an informational condition does not count, and carries severity Info', () => {
  const manager = set.manage(undefined, now);
  manager.markTrue('A');
  manager.markTrue('B');
  manager.markFalse('Info', 'Old', 'nothing to worry about');
  assert.equal(manager.isTrue('Ready'), true);
  assert.equal(manager.get('Info')?.severity, 'Info');
});

test('the transition time stays while the status stays', () => {
  const stored: Condition[] = [{ type: 'A', status: 'False', reason: 'X', lastTransitionTime: earlier }];
  const manager = set.manage(stored, now);
  manager.markFalse('A', 'Y', 'another reason');
  assert.equal(manager.get('A')?.lastTransitionTime, earlier);
  manager.markTrue('A');
  assert.equal(manager.get('A')?.lastTransitionTime, now);
  assert.equal(stored[0]?.status, 'False');
});

test('what is marked on the way, and ends as it was stored, has not changed', () => {
  const stored: Condition[] = [
    { type: 'A', status: 'True', lastTransitionTime: earlier },
    { type: 'B', status: 'True', lastTransitionTime: earlier },
    { type: 'Info', status: 'False', lastTransitionTime: earlier },
    { type: 'Ready', status: 'True', lastTransitionTime: earlier },
  ];
  const manager = set.manage(stored, now);
  manager.markUnknown('A', 'Deploying', '');
  assert.equal(manager.get('Ready')?.lastTransitionTime, now);
  manager.markFalse('B', 'X', 'x');
  manager.markTrue('Info');
  manager.markTrue('A');
  manager.markTrue('B');
  manager.markFalse('Info', 'Y', 'y');
  assert.deepEqual(
    manager.conditions.map(({ type, status, lastTransitionTime }) => `${type}=${status} ${lastTransitionTime}`),
    stored.map(({ type, status }) => `${type}=${status} ${earlier}`),
  );
});

test('a condition that was stored without a time has one from now on', () => {
  const manager = set.manage([{ type: 'A', status: 'True' }], now);
  manager.markTrue('A');
  assert.equal(manager.get('A')?.lastTransitionTime, now);
});

test('without dependents the happy condition is what it is marked as', () => {
  const alone = conditionSet<'Ready' | 'Built'>({ happy: 'Ready', dependents: [] });
  const manager = alone.manage(undefined, now);
  assert.equal(manager.get('Ready')?.status, 'Unknown');
  manager.markFalse('Built', 'X', 'x');
  assert.equal(manager.get('Ready')?.status, 'Unknown');
  manager.markTrue('Ready');
  assert.equal(alone.manage(manager.conditions, now).isTrue('Ready'), true);
});

test('what is copied keeps its reason unless it is True', () => {
  const manager = set.manage(undefined, now);
  manager.copy('A', { status: 'False', reason: 'X', message: 'x' });
  assert.deepEqual(manager.get('A'), {
    type: 'A',
    status: 'False',
    reason: 'X',
    message: 'x',
    lastTransitionTime: now,
  });
  assert.equal(manager.foundFalse, true);
  manager.copy('A', { status: 'True', reason: 'Y', message: 'y' });
  assert.deepEqual(manager.get('A'), { type: 'A', status: 'True', lastTransitionTime: now });
});

test('a condition that is cleared is gone, and does not count as True', () => {
  const manager = set.manage(undefined, now);
  manager.markTrue('A');
  manager.markTrue('B');
  manager.clear('B');
  assert.deepEqual(
    manager.conditions.map(({ type, status }) => `${type}=${status}`),
    ['A=True', 'Ready=Unknown'],
  );
});

test('what was found to be False is told apart from what was stored as False', () => {
  const manager = set.manage([{ type: 'A', status: 'False' }], now);
  assert.equal(manager.foundFalse, false);
  manager.markFalse('Info', 'X', 'x');
  assert.equal(manager.foundFalse, false);
  manager.markFalse('B', 'Y', 'y');
  assert.equal(manager.foundFalse, true);
  manager.markTrue('B');
  assert.equal(manager.foundFalse, false);
});
