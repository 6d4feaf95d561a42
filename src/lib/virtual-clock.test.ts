import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sleep } from './clock.ts';
import { VirtualClock } from './virtual-clock.ts';

test('timers run in order of their due time, each at its own time, and cancelled ones not at all', async () => {
  const clock = new VirtualClock(0);
  const ran: [string, number][] = [];
  const note = (name: string) => () => ran.push([name, clock.now()]);
  clock.after(30, note('c'));
  clock.after(10, note('a'));
  const cancel = clock.after(20, note('never'));
  clock.after(10, () => clock.after(5, note('b')));
  cancel();
  await clock.advance(29);
  assert.deepEqual(ran, [
    ['a', 10],
    ['b', 15],
  ]);
  await clock.advance(1);
  assert.deepEqual(ran.at(-1), ['c', 30]);
});

test('a sleep ends with the signal that aborts it', async () => {
  const clock = new VirtualClock(0);
  const abort = new AbortController();
  const sleeping = sleep(clock, 1000, abort.signal);
  abort.abort(new Error('enough'));
  await assert.rejects(sleeping, /enough/);
});
