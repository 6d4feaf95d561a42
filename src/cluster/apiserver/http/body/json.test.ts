import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { JsonError, parseJson } from './json.ts';

test('what JSON.stringify writes is read back the same, with any indentation', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.nat(3), (value, indent) => {
      const text = JSON.stringify(value, null, indent);
      assert.deepEqual(parseJson(text).value, JSON.parse(text));
    }),
  );
});

test('what JSON.parse refuses is refused', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'{}[]",:0123e.-+ truefalsn\\u\n\t') }), (text) => {
      let isJson = true;
      try {
        JSON.parse(text);
      } catch {
        isJson = false;
      }
      if (isJson) assert.deepEqual(parseJson(text).value, JSON.parse(text));
      else assert.throws(() => parseJson(text), JsonError);
    }),
    { numRuns: 1000 },
  );
});

test('keys that stand twice are named with their paths', () => {
  const { value, duplicates } = parseJson('{"spec":{"a":1,"list":[{"b":1,"b":2}],"a":3},"spec2":0}');
  assert.deepEqual(duplicates, ['spec.list[0].b', 'spec.a']);
  assert.deepEqual(value, { spec: { a: 3, list: [{ b: 2 }] }, spec2: 0 });
});

test('an error says the line, the column, what was expected and what was found', () => {
  const cases: [string, string][] = [
    ['{"a": 1,\n  "b" 2}', 'line 2, column 7: expected \':\' after the key, found "2"'],
    ['{"a": [1, 2', "line 1, column 12: expected ',' or ']', found the end of the text"],
    ['', 'line 1, column 1: expected a value, found the end of the text'],
    [
      '{"a": 9007199254740993}',
      'line 1, column 7: a is 9007199254740993: integers must lie between -(2^53-1) and 2^53-1',
    ],
    ['{} x', 'line 1, column 4: expected the end, found "x"'],
  ];
  for (const [text, message] of cases) assert.throws(() => parseJson(text), { name: 'JsonError', message });
});

test('nesting without end is refused rather than overflowing the stack', () => {
  assert.throws(() => parseJson('['.repeat(100_000)), /nested deeper than 500 levels/);
});

test('__proto__ is a key like any other', () => {
  const { value } = parseJson('{"__proto__": {"polluted": true}}');
  assert.deepEqual(Object.keys(value as object), ['__proto__']);
  assert.equal(Object.getPrototypeOf(value), Object.prototype);
});

test('keys that are repeated without end, deep inside, are named up to a bound', () => {
  const depth = 400;
  const repeated = '"a":0,'.repeat(100_000);
  const text = `${'{"aaaaaaaaaaaaaaaa":'.repeat(depth)}{${repeated}"a":0}${'}'.repeat(depth)}`;
  const { duplicates } = parseJson(text);
  assert.ok(duplicates.length <= 51, `${duplicates.length} are named`);
  assert.ok(duplicates.every((path) => path.length <= 300));
  assert.match(duplicates.at(-1) ?? '', /99950 more/);
});

test('half of a character is replaced, as in Go: what has no UTF-8 is stored nowhere', () => {
  assert.deepEqual(parseJson('["\\ud800", "\\ud83d\\ude00"]').value, ['\ufffd', '\u{1f600}']);
});
