import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { GrowingBuffer } from './growing-buffer.ts';

test('the pieces come out as they came in, one after the other, however they were cut', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 3000 }), { maxLength: 12 }), (pieces) => {
      const growing = new GrowingBuffer();
      for (const piece of pieces) growing.push(Buffer.from(piece));
      const whole = Buffer.concat(pieces);
      assert.equal(growing.length, whole.length);
      assert.ok(growing.whole().equals(whole));
    }),
  );
});

test('what the pieces are copied into is at most twice their size, and no piece is changed', () => {
  const growing = new GrowingBuffer();
  const piece = Buffer.from('x');
  for (let i = 0; i < 100_000; i++) growing.push(piece);
  assert.equal(growing.length, 100_000);
  assert.ok(growing.whole().buffer.byteLength <= 200_000);
  assert.equal(piece.toString(), 'x');
});
