import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nextTtl, ttlAttribute, withoutTtl } from './time-to-live.ts';

const base = { specversion: '1.0', id: '1', source: '/s', type: 't' };

for (const [came, left] of [
  [undefined, 255],
  ['6', 5],
  [6, 5],
  ['1', 0],
  ['0', -1],
  ['soon', 255],
  ['1.5', 255],
] as const) {
  test(`an event that comes with ${came} entries left goes on with ${left}`, () => {
    assert.equal(nextTtl(came === undefined ? base : { ...base, [ttlAttribute]: came }), left);
  });
}

test('a subscriber does not see how many entries are left', () => {
  assert.deepEqual(withoutTtl({ ...base, [ttlAttribute]: 6 }), base);
});
