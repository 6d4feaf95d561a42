import assert from 'node:assert/strict';
import { test } from 'node:test';
import { integer, mapList, nullable, object, string, type ValueOf } from './schema.ts';

const gadget = object(
  { name: string(), size: integer(), colour: string({ enum: ['red', 'blue'] }), note: nullable(string()) },
  { required: ['name'], present: ['size'] },
);

test('what is only present is not asked of clients', () => {
  assert.deepEqual(gadget.required, ['name']);
  assert.ok(!('present' in gadget));
});

test('a type follows its schema', () => {
  // The types are the test: each line that is expected not to compile must not.
  const good: ValueOf<typeof gadget> = { name: 'a', size: 1, colour: 'red', note: null };
  // @ts-expect-error size is there whenever code sees the object
  const noSize: ValueOf<typeof gadget> = { name: 'a' };
  // @ts-expect-error green is none of the colours
  const green: ValueOf<typeof gadget> = { name: 'a', size: 1, colour: 'green' };
  // @ts-expect-error items of the list have no key of that name
  const list = mapList(gadget, ['weight']);
  assert.ok(good && noSize && green && list);
});
