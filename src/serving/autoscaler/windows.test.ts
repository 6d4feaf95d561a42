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
  window.add(at(1) - 1, 2);
  assert.equal(window.average(at(1) - 1), 9);
  window.add(at(1), 1);
  assert.equal(window.average(at(1)), 5);
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
  window.add(at(100), 8);
  assert.equal(window.average(at(100)), 8, 'not diluted by the silence before');
});

test('a window starts over once all of it was silent, and not before', () => {
  for (const [pause, average] of [
    [3, 3],
    [4, 9],
  ] as const) {
    const window = new Window(3_000);
    window.add(at(0), 9);
    window.add(at(pause), 9);
    assert.equal(window.average(at(pause)), average, `after ${pause} s`);
  }
});

test('a report that comes late counts from its second on, one that comes after its window is dropped', () => {
  const window = new Window(3_000);
  window.add(at(10), 1);
  window.add(at(7), 1_000);
  assert.equal(window.average(at(10)), 1);
  window.add(at(8), 2);
  assert.equal(window.average(at(10)), 1, 'three seconds now: 2, 0 and 1');
});

test('what is reported of a second to come does not count yet', () => {
  const window = new Window(3_000);
  window.add(at(2), 5);
  assert.deepEqual(
    [at(0), at(1), at(2)].map((now) => window.average(now)),
    [0, 0, 5],
  );
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
