import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mutantsOf } from './mutants.ts';

const afterOf = (source: string) => mutantsOf(source).map(({ after }) => after);

for (const [what, source, expected] of [
  ['a comparison', 'const is = a < b;', ['const is = a <= b;']],
  ['both operators of a condition', 'const is = a && b;', ['const is = a || b;']],
  ['a condition', 'if (a) b();', ['if (true) b();', 'if (false) b();', 'if (a) ;']],
  ['a number', 'const n = 1;', ['const n = 2;']],
  ['a large number', 'const n = 1_000;', ['const n = 2000;']],
  ['a boolean', 'const is = true;', ['const is = false;']],
  ['a negation', 'const is = !a;', ['const is = a;']],
  ['a quantifier', 'const is = list.some(f);', ['const is = list.every(f);']],
  ['a fallback', 'const n = a ?? b;', ['const n = a;']],
  ['nothing of a fallback for the types', 'const n = list[i] ?? b;', []],
  ['nothing of a log', "log.warn({ n: a < 1 }, 'a');", []],
  ['nothing of an assertion', "assert(a < 1, 'b');", []],
  ['nothing of a text that is put together', "const s = 'a' + b;", []],
  ['only that it throws', 'throw new Error(a + b);', [';']],
  ['what stands beside types', 'const n: number = (a as number) - b;', ['const n: number = (a as number) + b;']],
] as const) {
  test(`mutated is ${what}`, () => assert.deepEqual(afterOf(source), expected));
}

test('a mutant names its line and is applied at its place', () => {
  const source = 'const a = 0;\nconst b = a > 1;\n';
  const [, second] = mutantsOf(source);
  assert.equal(second?.line, 2);
  assert.deepEqual([second?.before, second?.after], ['const b = a > 1;', 'const b = a >= 1;']);
  assert.equal(
    source.slice(0, second?.start) + second?.replacement + source.slice(second?.end),
    'const a = 0;\nconst b = a >= 1;\n',
  );
});
