import assert from 'node:assert/strict';
import { test } from 'node:test';
import { builtinKinds } from '../../../api/builtin.ts';
import { systemClock } from '../../../lib/clock.ts';
import { builtinStrategies } from './builtin.ts';

test('every kind of Kubernetes has its strategy, and only reviews and what is measured are not stored', () => {
  const strategies = builtinStrategies({ kinds: [], clock: systemClock });
  const stored = strategies.filter(({ action, compute }) => !action && !compute).map(({ kind }) => kind.kind);
  assert.deepEqual(
    stored,
    builtinKinds.map(({ kind }) => kind),
  );
  const computed = strategies.filter(({ compute }) => compute).map(({ kind }) => kind.kind);
  assert.deepEqual(computed, ['NodeMetrics', 'PodMetrics']);
  const answered = strategies.filter(({ action }) => action).map(({ kind }) => kind.kind);
  assert.ok(answered.length > 0 && answered.every((kind) => kind.endsWith('Review')), answered.join());
});
