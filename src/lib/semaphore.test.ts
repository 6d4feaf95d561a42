import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Semaphore } from './semaphore.ts';

test('so many are let in at once, the others in order, and none when one leaves twice', async () => {
  const semaphore = new Semaphore(1);
  assert.equal(semaphore.isIdle, true);
  const leave = await semaphore.enter();
  const seen: string[] = [];
  const first = semaphore.run(async () => seen.push('first'));
  const second = semaphore.run(async () => seen.push('second'));
  assert.deepEqual([seen, semaphore.isIdle], [[], false]);
  leave();
  leave();
  await Promise.all([first, second]);
  assert.deepEqual([seen, semaphore.isIdle], [['first', 'second'], true]);
});

test('who does not wait any longer takes no place, and work that fails leaves its own', async () => {
  const semaphore = new Semaphore(1);
  const impatient = new AbortController();
  const leave = await semaphore.enter(impatient.signal);
  const waiting = semaphore.enter(impatient.signal);
  impatient.abort(new Error('enough'));
  await assert.rejects(waiting, /enough/);
  await assert.rejects(semaphore.enter(impatient.signal), /enough/);
  leave();
  await assert.rejects(
    semaphore.run(() => Promise.reject(new Error('failed'))),
    /failed/,
  );
  assert.equal(semaphore.isIdle, true);
});
