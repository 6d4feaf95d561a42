import assert from 'node:assert/strict';
import { test } from 'node:test';
import { matchPattern } from './pattern.ts';

test('a text matches a pattern or does not, however long it is', () => {
  const long = 'abcdefghijklmnopqrstuvwxyz'.repeat(10);
  assert.equal(matchPattern('^[a-z]+$', 'abc'), 'yes');
  assert.equal(matchPattern('^[a-z]+$', long), 'yes');
  assert.equal(matchPattern('^[a-z]+$', `${long}1`), 'no');
  assert.equal(matchPattern('^[a-z]+$', 'A'), 'no');
});

test('a pattern that would take years on a text is given up', () => {
  for (const pattern of ['^(a+)+$', '^(a|a)*$', '^(a{1,40}){1,40}$', '^(?=a)(a+)+$']) {
    assert.equal(matchPattern(pattern, `${'a'.repeat(200)}!`), 'undecided', pattern);
  }
});
