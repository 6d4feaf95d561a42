import assert from 'node:assert/strict';
import { test } from 'node:test';
import { builtinKinds } from '../../../api/builtin.ts';
import { systemClock } from '../../../lib/clock.ts';
import { builtinStrategies } from './builtin.ts';

test('every kind of Kubernetes has its strategy, and reviews are the only ones that are not stored', () => {
  const strategies = builtinStrategies({ kinds: [], clock: systemClock });
  const stored = strategies.filter(({ action }) => !action).map(({ kind }) => kind.kind);
  assert.deepEqual(
    stored,
    builtinKinds.map(({ kind }) => kind),
  );
  const answered = strategies.filter(({ action }) => action).map(({ kind }) => kind.kind);
  assert.ok(answered.length > 0 && answered.every((kind) => kind.endsWith('Review')), answered.join());
});
