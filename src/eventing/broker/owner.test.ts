import assert from 'node:assert/strict';
import { test } from 'node:test';
import { claimOf, isSamePlatform, ownerOf, ownerText, ownerTextOf } from './owner.ts';

for (const [kept, now, deleted, expected] of [
  [undefined, { uid: 'a', platform: 'p' }, [], 'same'],
  ['a p', { uid: 'a', platform: 'p' }, [], 'same'],
  ['a p', { uid: 'a', platform: 'p' }, ['a'], 'same'],
  ['a p', { uid: 'a', platform: 'q' }, [], 'same'],
  ['a', { uid: 'a', platform: 'q' }, [], 'same'],
  ['a p', { uid: 'b', platform: 'p' }, [], 'replaced'],
  ['a p', { uid: 'b', platform: 'q' }, [], 'moved'],
  ['a p', { uid: 'b', platform: 'q' }, ['a'], 'replaced'],
  ['a p', { uid: 'b', platform: 'q' }, ['b'], 'moved'],
  ['a', { uid: 'b', platform: 'p' }, [], 'moved'],
  ['a', { uid: 'b', platform: 'p' }, ['a'], 'replaced'],
  ['a p', { uid: 'b', platform: undefined }, [], 'moved'],
  ['a', { uid: 'b', platform: undefined }, [], 'moved'],
] as const) {
  const seen = deleted.length > 0 ? ` when the deletion of ${deleted} was seen` : '';
  test(`who comes as ${now.uid} of ${now.platform} to what is kept for ${kept} is ${expected}${seen}`, () => {
    assert.equal(
      claimOf(kept, now, (uid) => (deleted as readonly string[]).includes(uid)),
      expected,
    );
  });
}

test('an owner is written with its platform where that is known, and is read as it was written', () => {
  for (const owner of [{ uid: 'a' }, { uid: 'a', platform: 'p' }]) {
    assert.deepEqual(ownerOf(ownerText(owner)), owner);
  }
  assert.deepEqual(ownerOf(''), { uid: '' });
});

test('what was known of the platform is not forgotten, and not taken for that of another owner', () => {
  assert.equal(ownerTextOf('a p', { uid: 'a' }), 'a p');
  assert.equal(ownerTextOf('a p', { uid: 'a', platform: 'q' }), 'a q');
  assert.equal(ownerTextOf('a p', { uid: 'b' }), 'b');
  assert.equal(ownerTextOf('a', { uid: 'a', platform: 'p' }), 'a p');
  assert.equal(ownerTextOf(undefined, { uid: 'a' }), 'a');
});

test('two that are not known are not the same platform', () => {
  assert.equal(isSamePlatform({ uid: 'a' }, undefined), false);
  assert.equal(isSamePlatform({ uid: 'a', platform: 'p' }, 'p'), true);
  assert.equal(isSamePlatform({ uid: 'a', platform: 'p' }, 'q'), false);
});
