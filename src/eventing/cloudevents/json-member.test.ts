import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { memberText } from './json-member.ts';

test('the text of a member is the JSON that stands there, whatever stands around it', () => {
  const spaces = fc.constantFrom('', ' ', '\n\t ');
  const others = fc.array(fc.tuple(fc.string(), fc.json()), { maxLength: 3 });
  fc.assert(
    fc.property(others, fc.json(), others, spaces, (before, json, after, space) => {
      const members = [...before, ['data', json] as const, ...after.filter(([name]) => name !== 'data')];
      const written = members.map(
        ([name, value]) => `${space}${JSON.stringify(name)}${space}:${space}${value}${space}`,
      );
      assert.equal(memberText(`${space}{${written.join(',')}}${space}`, 'data'), json);
    }),
  );
});

test('of members with one name the last counts, an escaped name is that name, and none is undefined', () => {
  assert.equal(memberText('{"data":1,"data":2}', 'data'), '2');
  assert.equal(memberText('{"d\\u0061ta":[1.0]}', 'data'), '[1.0]');
  assert.equal(memberText('{"a":{"data":1}}', 'data'), undefined);
  assert.equal(memberText('{}', 'data'), undefined);
});
