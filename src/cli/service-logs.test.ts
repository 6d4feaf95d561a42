import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { boundedLines } from './service-logs.ts';

async function* pieces(texts: string[]) {
  yield* texts;
}

test('a log comes line by line, wherever its text is cut', async () => {
  const texts = fc.array(fc.string({ maxLength: 5, unit: fc.constantFrom('a', 'b', '\n', '\r\n') }));
  await fc.assert(
    fc.asyncProperty(texts, async (parts) => {
      const lines = await Array.fromAsync(boundedLines(pieces(parts)));
      const expected = parts.join('').split(/\r?\n/);
      if (expected.at(-1) === '') expected.pop();
      assert.deepEqual(lines, expected);
    }),
  );
});

test('a line without an end is given in parts, as it would fill the memory', async () => {
  const lines = await Array.fromAsync(boundedLines(pieces(Array(1000).fill('0123456789')), 100));
  assert.ok(lines.every((line) => line.length <= 110));
  assert.equal(lines.join(''), '0123456789'.repeat(1000));
});
