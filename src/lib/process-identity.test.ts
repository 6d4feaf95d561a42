import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startFromStat, startOf } from './process-identity.ts';

test('a process is told from its successor by when it started, and a zombie does not run', () => {
  assert.equal(startOf(process.pid), startOf(process.pid));
  assert.equal(startOf(2 ** 22 + 1), undefined);
  const stat = (name: string, state: string) => `7 (${name}) ${state} ${'0 '.repeat(18)}4242 0`;
  assert.match(startFromStat(stat('sh', 'S')) ?? '', /\/4242$/);
  assert.match(startFromStat(stat('evil) R (x', 'S')) ?? '', /\/4242$/);
  assert.equal(startFromStat(stat('sh', 'Z')), undefined);
});
