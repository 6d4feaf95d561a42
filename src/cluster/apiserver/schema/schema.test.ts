import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { builtinKinds } from '../../../api/builtin.ts';
import { platformKinds } from '../../../api/platform.ts';
import {
  anything,
  array,
  integer,
  intOrString,
  map,
  number,
  object,
  type Schema,
  string,
} from '../../../api/schema.ts';
import { normalise } from './normalise.ts';
import { validate } from './validate.ts';

const unknownIn = (value: unknown, schema: Schema) => {
  const unknown: string[] = [];
  const result = normalise(value, schema, (path) => unknown.push(path));
  return { unknown, result };
};

test('unknown fields are named by their path and left out, at any depth', () => {
  const schema = object({ a: array(object({ b: string() })), m: map(object({ c: string() })) });
  const { unknown, result } = unknownIn({ x: 1, a: [{ b: 'k', y: 2 }], m: { 'k.1': { c: 'k', z: 3 } } }, schema);
  assert.deepEqual(unknown, ['x', 'a[0].y', 'm.k.1.z']);
  assert.deepEqual(result, { a: [{ b: 'k' }], m: { 'k.1': { c: 'k' } } });
});

test('defaults are filled in where a parent is there, and defaults of defaults too', () => {
  const schema = object({
    a: object({ b: integer({ default: 1 }) }),
    c: object({ d: integer({ default: 2 }) }, { default: {} }),
    e: string({ default: 'x' }),
  });
  assert.deepEqual(unknownIn({ a: {}, e: null }, schema).result, { a: { b: 1 }, c: { d: 2 }, e: 'x' });
  assert.deepEqual(unknownIn({}, schema).result, { c: { d: 2 }, e: 'x' });
});

test('a default that is filled in is a copy', () => {
  const schema = object({ list: array(string(), { default: ['a'] }) });
  const one = unknownIn({}, schema).result as { list: string[] };
  one.list.push('b');
  assert.deepEqual(unknownIn({}, schema).result, { list: ['a'] });
});

test('what is to be preserved is preserved, but what the schema names in it is still checked', () => {
  const schema = anything({ properties: { known: object({ a: string() }) } });
  const { unknown, result } = unknownIn({ free: { x: [null] }, known: { a: 'k', b: 1 } }, schema);
  assert.deepEqual(unknown, ['known.b']);
  assert.deepEqual(result, { free: { x: [null] }, known: { a: 'k' } });
});

test('an embedded resource has apiVersion, kind and metadata without naming them', () => {
  const schema = object({ spec: string() }, { 'x-kubernetes-embedded-resource': true });
  const { unknown } = unknownIn(
    { apiVersion: 'v1', kind: 'K', metadata: { name: 'n', nme: 'x' }, spec: 's', y: 1 },
    schema,
  );
  assert.deepEqual(unknown, ['metadata.nme', 'y']);
});

test('a field called __proto__ is a field, and changes no prototype', () => {
  const value = JSON.parse('{"m": {"__proto__": "x", "a": "b"}}');
  const { result } = unknownIn(value, object({ m: map() }));
  assert.equal(JSON.stringify(result), '{"m":{"__proto__":"x","a":"b"}}');
  assert.equal(Object.getPrototypeOf((result as { m: object }).m), Object.prototype);
});

const wrong: [rule: string, value: unknown, schema: Schema, message: string][] = [
  ['a list for an object', [], object({}), 'Invalid value: "array": f in body must be of type object: "array"'],
  ['a fraction for an integer', 1.5, integer(), 'Invalid value: "number": f in body must be of type integer: "number"'],
  ['null', null, string(), 'Invalid value: "null": f in body must be of type string: "null"'],
  [
    'more than int32',
    2 ** 31,
    integer({ format: 'int32' }),
    'Invalid value: 2147483648: f in body must be of type int32',
  ],
  ['too much', 5, integer({ maximum: 4 }), 'Invalid value: 5: f in body should be less than or equal to 4'],
  ['too short', '', string({ minLength: 1 }), 'Invalid value: "": f in body should be at least 1 chars long'],
  ['too long', 'ab', string({ maxLength: 1 }), 'Too long: may not be more than 1 bytes'],
  [
    'not as the pattern',
    'A',
    string({ pattern: '^[a-z]+$' }),
    'Invalid value: "A": f in body should match \'^[a-z]+$\'',
  ],
  [
    'not a time',
    'now',
    string({ format: 'date-time' }),
    'Invalid value: "now": f in body must be of type date-time: "now"',
  ],
  ['not base64', 'a', string({ format: 'byte' }), 'Invalid value: "a": f in body must be of type byte: "a"'],
  ['too few', [], array(string(), { minItems: 1 }), 'Invalid value: 0: f in body should have at least 1 items'],
  ['too many', [1, 2], array(integer(), { maxItems: 1 }), 'Too many: 2: must have at most 1 items'],
  ['twice in a set', ['a', 'a'], array(string(), { 'x-kubernetes-list-type': 'set' }), 'Duplicate value: "a"'],
  [
    'none of one of',
    {},
    object({ a: string(), b: string() }, { oneOf: [{ required: ['a'] }, { required: ['b'] }] }),
    'Invalid value: {}: f in body must validate one and only one schema (oneOf). Found none valid',
  ],
  [
    'what must not be',
    1,
    integer({ not: { enum: [1] } }),
    'Invalid value: 1: f in body must not validate the schema (not)',
  ],
];

for (const [rule, value, schema, message] of wrong) {
  test(`${rule} is refused in Kubernetes' words`, () => {
    assert.deepEqual(
      validate(value, schema, 'f').map((e) => e.message),
      [message],
    );
  });
}

const right: [rule: string, value: unknown, schema: Schema][] = [
  ['an integer for a number', 1, number()],
  ['a number or a string for int-or-string', '80%', intOrString()],
  ['null where it is allowed', null, string({ nullable: true })],
  ['a time with a fraction and a zone', '2026-11-23T01:02:03.123456+02:00', string({ format: 'date-time' })],
  ['a format that is not known', 'x', string({ format: 'quantum' })],
];

for (const [rule, value, schema] of right) {
  test(`${rule} is valid`, () => assert.deepEqual(validate(value, schema, 'f'), []));
}

test('normalising twice is normalising once, for every kind and whatever comes', () => {
  const kinds = [...builtinKinds, ...platformKinds];
  const values = fc.dictionary(fc.constantFrom('spec', 'status', 'data', 'x'), fc.jsonValue({ maxDepth: 4 }));
  fc.assert(
    fc.property(fc.constantFrom(...kinds), values, ({ schema }, value) => {
      const once = normalise(value, schema, () => {});
      assert.deepEqual(
        normalise(once, schema, (path) => assert.fail(path)),
        once,
      );
      validate(once, schema);
    }),
  );
});

test('an object that breaks a rule everywhere gets an answer of bounded size', () => {
  const schema = object({
    list: array(integer(), { maxItems: 1_000_000 }),
    text: string({ maxLength: 5 }),
    any: anything({ anyOf: Array.from({ length: 2000 }, () => ({ required: ['absent'] })) }),
  });
  const big = 'x'.repeat(1_000_000);
  const errors = validate({ list: Array.from({ length: 200_000 }, () => 'x'), text: big, any: { big } }, schema);
  assert.ok(errors.length <= 100);
  assert.ok(JSON.stringify(errors).length < 200_000);
  const [error] = validate({ any: { big } }, schema);
  assert.match(error?.message ?? '', /anyOf/);
  assert.ok((error?.message.length ?? 0) < 5000);
});
