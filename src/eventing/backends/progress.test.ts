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

test('moving on swallows the ranges that it reaches', () => {
  const progress = Progress.parse(1, '3-5,8-9');
  progress.moveTo(3);
  assert.equal(progress.position, 5);
  progress.moveTo(2);
  assert.equal(progress.position, 5);
  progress.moveTo(10);
  assert.equal(progress.ranges, '');
});
