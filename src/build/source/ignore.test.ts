import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ignoreRules } from './ignore.ts';

/** The same rules as a regular expression: short, and endless on some. */
function expressionOf(pattern: string): RegExp {
  const tokens =
    pattern
      .replace(/^\.?\//, '')
      .replace(/\/+$/, '')
      .match(/\*\*\/|\*\*|[\s\S]/g) ?? [];
  const parts: Record<string, string> = { '**/': '(?:.*/)?', '**': '.*', '*': '[^/]*', '?': '[^/]' };
  return new RegExp(`^${tokens.map((token) => parts[token] ?? token).join('')}(?:/.*)?$`, 's');
}

test('a pattern matches what its regular expression does', () => {
  const patterns = fc.string({ minLength: 1, maxLength: 8, unit: fc.constantFrom('a', 'b', '/', '*', '*', '?') });
  const paths = fc.string({ minLength: 1, maxLength: 10, unit: fc.constantFrom('a', 'b', '/', '\n') });
  fc.assert(
    fc.property(patterns, paths, (pattern, path) => {
      assert.equal(ignoreRules(pattern)(path), expressionOf(pattern).test(path));
    }),
    { numRuns: 5000 },
  );
});

test('no pattern takes long, however many stars it has', () => {
  const rules = ignoreRules(`${'*a'.repeat(100)}b\n${'**/a'.repeat(100)}/b\n${'?*'.repeat(100)}b`);
  assert.equal(rules('a'.repeat(255)), false);
  assert.equal(rules('a/'.repeat(1000)), false);
  assert.equal(rules(`${'a'.repeat(255)}b`), true);
});
