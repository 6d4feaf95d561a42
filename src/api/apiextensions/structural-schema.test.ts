import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { platformKinds } from '../platform.ts';
import { definitionOfKind } from './definition-of-kind.ts';
import { validateStructuralSchema } from './structural-schema.ts';

const wrong: [why: string, schema: unknown, field: string][] = [
  ['a schema that is none', 'object', 's'],
  ['a field without its type', { type: 'object', properties: { a: {} } }, 's.properties[a].type'],
  ['an unknown type', { type: 'map' }, 's.type'],
  ['a list without items', { type: 'array' }, 's.items'],
  ['properties that are no map', { type: 'object', properties: ['a'] }, 's.properties'],
  [
    'properties beside additionalProperties',
    { type: 'object', properties: {}, additionalProperties: true },
    's.additionalProperties',
  ],
  ['a length that is no number', { type: 'string', maxLength: '5' }, 's.maxLength'],
  ['required that is no list', { type: 'object', required: 'a' }, 's.required'],
  ['a part of anyOf that is no schema', { type: 'object', anyOf: [1] }, 's.anyOf[0]'],
  [
    'a key of a list that its items may lack',
    {
      type: 'array',
      items: { type: 'object', properties: { a: { type: 'string' } } },
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['a'],
    },
    's.items.properties[a].default',
  ],
  [
    'a key that items do not know',
    {
      type: 'array',
      items: { type: 'object' },
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['a'],
    },
    's.x-kubernetes-list-map-keys',
  ],
  [
    'a keyed list without keys',
    { type: 'array', items: { type: 'object' }, 'x-kubernetes-list-type': 'map' },
    's.x-kubernetes-list-map-keys',
  ],
  ['a pattern that is no string', { type: 'string', pattern: 1 }, 's.pattern'],
];

for (const [why, schema, field] of wrong) {
  test(`${why} is named: ${field}`, () => {
    assert.deepEqual(
      validateStructuralSchema(schema, 's').map((e) => e.field),
      [field],
    );
  });
}

test('the schemas of all platform kinds are structural', () => {
  for (const kind of platformKinds) {
    const schema = definitionOfKind(kind).spec.versions[0]?.schema?.openAPIV3Schema;
    assert.deepEqual(validateStructuralSchema(schema, kind.kind), []);
  }
});

test('whatever a user sends as a schema, the check answers', () => {
  fc.assert(fc.property(fc.jsonValue({ maxDepth: 6 }), (schema) => void validateStructuralSchema(schema, 's')));
});
