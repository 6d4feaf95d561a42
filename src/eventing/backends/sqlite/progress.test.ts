import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Progress } from './progress.ts';

test('offsets that are done in any order are what a set of them would say, also after writing and reading', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 80 }), fc.nat(80), (offsets, restartAt) => {
      let progress = new Progress(5);
      const done = new Set<number>([1, 2, 3, 4]);
      offsets.forEach((offset, i) => {
        if (i === restartAt) progress = Progress.parse(progress.position, progress.ranges);
        progress.done(offset);
        done.add(offset);
      });
      let position = 1;
      while (done.has(position)) position++;
      assert.equal(progress.position, position);
      for (let offset = 1; offset <= 41; offset++) assert.equal(progress.isDone(offset), done.has(offset));
    }),
  );
});

test('ranges join: one event that is open for long costs one range, however many are done after it', () => {
  const progress = new Progress(1);
  for (let offset = 2; offset <= 100_000; offset++) progress.done(offset);
  assert.equal(progress.position, 1);
  assert.equal(progress.ranges, '2-100001');
  progress.done(1);
  assert.equal(progress.position, 100_001);
  assert.equal(progress.ranges, '');
});

for (const [offset, ranges] of [
  [3, '3-4,5-7,9-10'],
  [4, '4-7,9-10'],
  [6, '5-7,9-10'],
  [7, '5-8,9-10'],
  [8, '5-7,8-10'],
  [10, '5-7,9-11'],
  [12, '5-7,9-10,12-13'],
] as const) {
  test(`5-7 and 9-10, and then ${offset}, are ${ranges}`, () => {
    const progress = Progress.parse(1, '5-7,9-10');
    progress.done(offset);
    assert.equal(progress.ranges, ranges);
  });
}

test('an offset that fills the gap between two ranges makes one of them', () => {
  const progress = Progress.parse(1, '3-4,5-7,8-10,12-13');
  progress.done(7);
  assert.equal(progress.ranges, '3-4,5-10,12-13');
});

test('moving far on swallows all that is before', () => {
  const progress = Progress.parse(1, '3-5,6-7,8-9');
  progress.moveTo(8);
  assert.deepEqual([progress.position, progress.ranges], [9, '']);
});

test('what is no range is refused', () => {
  for (const ranges of ['5', '5-5', '7-5', '2-4', 'x-y', '5-']) {
    assert.throws(() => Progress.parse(3, ranges), new RegExp(`range ${ranges} of a cursor at 3`));
  }
});

test('moving on swallows the ranges that it reaches', () => {
  const progress = Progress.parse(1, '3-5,8-9');
  progress.moveTo(3);
  assert.equal(progress.position, 5);
  progress.moveTo(2);
  assert.equal(progress.position, 5);
  progress.moveTo(10);
  assert.equal(progress.ranges, '');
});
