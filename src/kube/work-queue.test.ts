import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { messageOf } from '../lib/errors.ts';
import { VirtualClock } from '../lib/virtual-clock.ts';
import { silentLogger } from '../observe/log.ts';
import { WorkQueue } from './work-queue.ts';

/** A queue whose work ends when the test says so. */
function controlled(concurrency: number) {
  const clock = new VirtualClock();
  const started: string[] = [];
  const ends = new Map<string, () => void>();
  const queue = new WorkQueue({
    clock,
    concurrency,
    log: silentLogger,
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

test('a key that adds itself for ever, and ends at once, leaves timers and I/O their turns', async () => {
  let runs = 0;
  const queue: WorkQueue = new WorkQueue({
    clock: new VirtualClock(),
    concurrency: 2,
    log: silentLogger,
    async process(key) {
      runs++;
      // The limit is for a queue that gives no turns: it ends, and the order below says that it failed.
      if (runs < 100_000) queue.add(key);
    },
  });
  queue.start();
  queue.add('a');
  queue.add('b');
  await new Promise((resolve) => setTimeout(resolve, 0));
  const runsBeforeTimer = runs;
  await readFile(import.meta.filename);
  const runsBeforeRead = runs;
  assert.ok(runsBeforeTimer > 0 && runsBeforeTimer < 100_000, `${runsBeforeTimer} runs before a timer`);
  assert.ok(runsBeforeRead < 100_000, `${runsBeforeRead} runs before a file was read`);
  await queue.stop();
});

for (const [keyMs, keys] of [
  [5, 2],
  [9, 2],
  [10, 1],
] as const) {
  test(`of keys that take ${keyMs} ms each, ${keys} start before timers and I/O have a turn`, async () => {
    let nowMs = 1_000;
    let runs = 0;
    const queue = new WorkQueue({
      clock: Object.assign(new VirtualClock(), { monotonic: () => nowMs }),
      concurrency: 8,
      log: silentLogger,
      async process() {
        runs++;
        nowMs += keyMs;
      },
    });
    for (let i = 0; i < 20; i++) queue.add(`key-${i}`);
    queue.start();
    for (let i = 0; i < 20; i++) await Promise.resolve();
    assert.equal(runs, keys);
    await queue.stop();
  });
}

test('keys that take long leave timers and I/O a turn after each', async () => {
  const clock = new VirtualClock();
  let nowMs = 0;
  let runs = 0;
  const queue = new WorkQueue({
    clock: { now: () => nowMs, monotonic: () => nowMs, after: (delayMs, task) => clock.after(delayMs, task) },
    concurrency: 8,
    log: silentLogger,
    async process() {
      runs++;
      nowMs += 50;
    },
  });
  for (let i = 0; i < 20; i++) queue.add(`key-${i}`);
  queue.start();
  for (let turn = 1; turn <= 20; turn++) {
    await Promise.resolve().then(() => Promise.resolve());
    assert.ok(runs <= turn, `${runs} keys in ${turn} turns`);
    await setImmediate();
  }
  assert.equal(runs, 20);
  await queue.stop();
});

test('all keys run, however many wait, the first of them within the tick', async () => {
  let runs = 0;
  const queue = new WorkQueue({
    clock: new VirtualClock(),
    concurrency: 8,
    log: silentLogger,
    async process() {
      runs++;
    },
  });
  queue.start();
  for (let i = 0; i < 1_000; i++) queue.add(`key ${i}`);
  await Promise.resolve();
  await Promise.resolve();
  assert.ok(runs > 0, 'nothing ran within the tick');
  for (let turn = 0; turn < 100 && queue.depth > 0; turn++) await setImmediate();
  await queue.stop();
  assert.equal(runs, 1_000);
});

test('32 keys start before timers and I/O have a turn, each time', async () => {
  const { queue, started } = controlled(1_000);
  queue.start();
  queue.add('alone');
  await setImmediate();
  await setImmediate();
  for (let i = 0; i < 100; i++) queue.add(`key ${i}`);
  await Promise.resolve();
  assert.equal(started.length, 1 + 32);
  await setImmediate();
  assert.equal(started.length, 1 + 64);
});

for (const [how, fail] of [
  ['throws', () => assert.fail('not today')],
  ['rejects', () => Promise.reject(new Error('not today'))],
  ['rejects with a text', () => Promise.reject('not today')],
] as const) {
  test(`work that ${how} is logged and tried again, and holds up no other key`, async () => {
    const clock = new VirtualClock();
    const runs: string[] = [];
    const logged: { key: string; err: unknown }[] = [];
    const queue = new WorkQueue({
      clock,
      concurrency: 1,
      log: { ...silentLogger, error: (fields) => logged.push(fields as (typeof logged)[number]) },
      process(key) {
        runs.push(key);
        return key === 'bad' && runs.length === 1 ? fail() : Promise.resolve();
      },
    });
    queue.start();
    queue.add('bad');
    queue.add('good');
    await setImmediate();
    assert.deepEqual(runs, ['bad', 'good']);
    assert.deepEqual([logged.length, logged[0]?.key, messageOf(logged[0]?.err)], [1, 'bad', 'not today']);
    await clock.advance(10);
    assert.deepEqual(runs, ['bad', 'good', 'bad']);
    await queue.stop();
  });
}

test('stopping waits for all that runs', async () => {
  const { queue, end } = controlled(2);
  queue.start();
  queue.add('a');
  queue.add('b');
  await setImmediate();
  let isStopped = false;
  const stopping = queue.stop().then(() => {
    isStopped = true;
  });
  await end('a');
  assert.equal(isStopped, false);
  await end('b');
  await stopping;
});

test('nothing comes back after the queue was stopped', async () => {
  const { clock, queue, started } = controlled(1);
  queue.start();
  queue.addAfter('c', 1);
  await queue.stop();
  queue.retry('a');
  queue.addAfter('b', 1);
  await clock.advance(60_000);
  assert.deepEqual([started, queue.depth], [[], 0]);
});
