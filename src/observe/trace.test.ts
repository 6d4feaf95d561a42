import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isTraceparent, nextTraceparent } from './trace.ts';

const incoming = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

test('a trace is continued with its flags and a new parent id', () => {
  const next = nextTraceparent(incoming);
  assert.match(next, /^00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-01$/);
  assert.notEqual(next, incoming);
});

test('without a trace to continue a new, unsampled one begins', () => {
  for (const nothing of [undefined, '', 'junk', incoming.toUpperCase()]) {
    const next = nextTraceparent(nothing);
    assert.ok(isTraceparent(next));
    assert.match(next, /-00$/);
  }
});

test('what the specification forbids is no traceparent', () => {
  const zeros = (from: number, to: number) => incoming.slice(0, from) + '0'.repeat(to - from) + incoming.slice(to);
  for (const text of [`ff${incoming.slice(2)}`, zeros(3, 35), zeros(36, 52), incoming.slice(0, -1)]) {
    assert.equal(isTraceparent(text), false, text);
  }
  assert.equal(isTraceparent(`01${incoming.slice(2)}-more`), true, 'a later version may say more');
});
