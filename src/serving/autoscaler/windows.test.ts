import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Window } from './windows.ts';

const t0 = 1_700_000_000_000;
const at = (second: number) => t0 + second * 1000;

test('values of one second add up, and the average divides by the seconds since the first', () => {
  const window = new Window(60_000);
  window.add(at(0), 3);
  window.add(at(0), 4);
  assert.equal(window.average(at(0)), 7);
  window.add(at(1), 1);
  assert.equal(window.average(at(1)), 4);
});

test('a second whose report is still on the way does not count, one that was passed over counts as zero', () => {
  const window = new Window(10_000);
  window.add(at(0), 6);
  assert.equal(window.average(at(1)), 6);
  assert.equal(window.average(at(2)), 3);
  window.add(at(2), 6);
  assert.equal(window.average(at(2)), 4);
});

test('what is older than the window is forgotten, and a silent window starts over', () => {
  const window = new Window(5_000);
  for (let s = 0; s < 5; s++) window.add(at(s), 10);
  assert.equal(window.average(at(4)), 10);
  assert.equal(window.average(at(7)), 6, 'seconds 2 to 6, of which 5 and 6 are silent');
  assert.equal(window.average(at(100)), 0);
  assert.equal(window.isSilent(at(100)), true);
  window.add(at(100), 8);
  assert.equal(window.average(at(100)), 8, 'not diluted by the silence before');
  assert.equal(window.isSilent(at(100)), false);
});

test('a report that comes after its window is dropped', () => {
  const window = new Window(3_000);
  window.add(at(10), 1);
  window.add(at(2), 1_000);
  assert.equal(window.average(at(10)), 1);
});

test('averages have six decimals', () => {
  const window = new Window(3_000);
  window.add(at(0), 1);
  window.add(at(1), 0);
  window.add(at(2), 0);
  assert.equal(window.average(at(2)), 0.333333);
});

test('the ring agrees with a list of all values', () => {
  const report = fc.record({ second: fc.integer({ min: 0, max: 40 }), value: fc.integer({ min: 0, max: 1000 }) });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 12 }), fc.array(report, { maxLength: 60 }), (size, reports) => {
      const inOrder = reports.sort((a, b) => a.second - b.second);
      const window = new Window(size * 1000);
      for (const { second, value } of inOrder) window.add(at(second), value);
      const last = inOrder.at(-1)?.second;
      if (last === undefined) return assert.equal(window.average(at(0)), 0);
      const recent = inOrder.filter(({ second }) => second > last - size);
      const total = recent.reduce((sum, { value }) => sum + value, 0);
      const average = window.average(at(last));
      assert.ok(average <= total && average >= Math.floor((total / size) * 1e6) / 1e6);
    }),
  );
});
