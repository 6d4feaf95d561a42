import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Absences } from './absences.ts';

const one = { name: 'broker default/b', owner: 'uid here' };
const other = { name: 'broker default/c', owner: '' };
const nobody = () => false;

/** After how many looks in vain it is over. */
function looksUntilOver(platform: string | undefined, owner: string): number {
  const absences = new Absences([{ ...one, owner, looks: 0 }]);
  for (let looks = 0; ; looks++) {
    if (absences.isOver(one.name, platform)) return looks;
    absences.looked(nobody);
  }
}

test('it is over after ten looks on its platform, and after a week of them elsewhere', () => {
  assert.equal(looksUntilOver('here', 'uid here'), 10);
  assert.equal(looksUntilOver('there', 'uid here'), 10_080);
  assert.equal(looksUntilOver(undefined, 'uid'), 10_080);
  assert.equal(looksUntilOver('here', ''), 10_080);
});

test('who is told of, or found, is counted anew; who is absent still goes on', () => {
  const absences = new Absences();
  absences.set([one, other]);
  for (let i = 0; i < 9; i++) absences.looked(nobody);
  absences.looked((name) => name === one.name);
  assert.deepEqual(absences.all, [
    { ...one, looks: 0 },
    { ...other, looks: 10 },
  ]);
  absences.set([one]);
  assert.deepEqual(absences.all, [{ ...one, looks: 0 }]);
  absences.looked(nobody);
  absences.set([one, other]);
  assert.deepEqual(
    absences.all.map(({ looks }) => looks),
    [1, 0],
  );
});

test('what is not absent is not over, and has no owner here', () => {
  const absences = new Absences([{ ...one, looks: 1_000_000 }]);
  assert.deepEqual([absences.isOver(one.name, 'here'), absences.isOver(other.name, 'here')], [true, false]);
  assert.deepEqual([absences.ownerOf(one.name), absences.ownerOf(other.name)], ['uid here', undefined]);
});
