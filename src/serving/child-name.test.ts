import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isDnsLabel1035 } from '../api/names.ts';
import { childName } from './child-name.ts';

test('a short name is the parent and the suffix', () => {
  assert.equal(childName('web', '-00001'), 'web-00001');
});

test('a long name is shortened to a DNS label of its own', () => {
  const parent = fc.stringMatching(/^[a-z][a-z0-9]{50,62}$/);
  fc.assert(
    fc.property(parent, parent, (a, b) => {
      const name = childName(a, '-deployment');
      assert.ok(isDnsLabel1035(name) && name.endsWith('-deployment'), name);
      if (a !== b) assert.notEqual(name, childName(b, '-deployment'));
    }),
  );
});
