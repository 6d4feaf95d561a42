import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { VirtualClock } from '../lib/virtual-clock.ts';
import { WorkQueue } from './work-queue.ts';

/** A queue whose work ends when the test says so. */
function controlled(concurrency: number) {
  const clock = new VirtualClock();
  const started: string[] = [];
  const ends = new Map<string, () => void>();
  const queue = new WorkQueue({
    clock,
    concurrency,
    process(key) {
      started.push(key);
      return new Promise((resolve) => ends.set(key, resolve));
    },
  });
  const end = async (key: string) => {
    ends.get(key)?.();
    await setImmediate();
  };
  return { clock, queue, started, end };
}

test('nothing runs before the start, and a key that is added often runs once', async () => {
  const { queue, started } = controlled(8);
  queue.add('a');
  queue.add('a');
  await setImmediate();
  assert.deepEqual(started, []);
  assert.equal(queue.depth, 1);
  queue.start();
  await setImmediate();
  assert.deepEqual(started, ['a']);
});

test('a key added while it runs, runs again afterwards, and never twice at once', async () => {
  const { queue, started, end } = controlled(8);
  queue.start();
  queue.add('a');
  await setImmediate();
  queue.add('a');
  queue.add('a');
  await setImmediate();
  assert.deepEqual(started, ['a']);
  await end('a');
  assert.deepEqual(started, ['a', 'a']);
  await end('a');
  assert.deepEqual(started, ['a', 'a']);
});

test('no more keys run at once than allowed', async () => {
  const { queue, started, end } = controlled(2);
  queue.start();
  for (const key of ['a', 'b', 'c']) queue.add(key);
  await setImmediate();
  assert.deepEqual(started, ['a', 'b']);
  await end('a');
  assert.deepEqual(started, ['a', 'b', 'c']);
});

test('retries wait longer each time, up to 30 s, until the key goes well', async () => {
  const { clock, queue, started, end } = controlled(1);
  queue.start();
  const delays: number[] = [];
  for (let i = 0; i < 20; i++) {
    delays.push(queue.retry('a'));
    await clock.advance(40_000);
    await end('a');
  }
  assert.equal(started.length, 20);
  delays.forEach((delay, i) => {
    const nominal = Math.min(30_000, 5 * 2 ** i);
    assert.ok(delay >= 0.75 * nominal && delay <= 1.25 * nominal, `retry ${i} waited ${delay} ms`);
  });
  queue.forget('a');
  assert.ok(queue.retry('a') <= 6.25);
});

test('a later addAfter replaces an earlier one of the same key', async () => {
  const { clock, queue, started, end } = controlled(1);
  queue.start();
  queue.addAfter('a', 1_000);
  queue.addAfter('a', 5_000);
  await clock.advance(2_000);
  assert.deepEqual(started, []);
  await clock.advance(3_000);
  assert.deepEqual(started, ['a']);
  await end('a');
});

test('stopping waits for what runs, and starts nothing more', async () => {
  const { queue, started, end } = controlled(1);
  queue.start();
  queue.add('a');
  queue.add('b');
  await setImmediate();
  let isStopped = false;
  const stopping = queue.stop().then(() => {
    isStopped = true;
  });
  await setImmediate();
  assert.equal(isStopped, false);
  await end('a');
  await stopping;
  assert.deepEqual(started, ['a']);
});
