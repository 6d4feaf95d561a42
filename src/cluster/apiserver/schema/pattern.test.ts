import assert from 'node:assert/strict';
import { test } from 'node:test';
import { matchPattern, PatternBudget } from './pattern.ts';

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

test('a pattern that would take years on a short text is given up, too', () => {
  assert.equal(matchPattern('^((a?){60}b|c)$', 'a'.repeat(16)), 'undecided');
  assert.equal(matchPattern('^(((a*)*)*)*$', `${'a'.repeat(15)}!`), 'undecided');
});

test('the patterns of one object share a budget', () => {
  const budget = new PatternBudget();
  for (let i = 0; i < 20; i++) assert.equal(matchPattern('^(a+)+$', `${'a'.repeat(100 + i)}!`, budget), 'undecided');
  assert.ok(budget.leftMs <= 0);
  assert.equal(matchPattern('^[a-z]{3,}$', 'abcdefghijklmnopqrstuvwxyz', budget), 'undecided');
  assert.equal(matchPattern('^[a-z]+$', 'abc', budget), 'yes', 'what costs nothing is still decided');
});
