import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { VirtualClock } from '../../../lib/virtual-clock.ts';
import { LogCursor } from './log-cursor.ts';
import { Progress } from './progress.ts';
import { SqliteSubscription } from './sqlite-subscription.ts';
import type { StoredEvent } from './stored-event.ts';

const stored = (offset: number): StoredEvent => ({
  offset,
  arrivedAt: 0,
  sizeBytes: 100,
  headers: [],
  event: { attributes: { specversion: '1.0', id: String(offset), source: '/s', type: 't' } },
});

/** A subscription over a log of which the test says what it holds: each read and each call is put down. */
function subscribed(count: number, progress = new Progress(1)) {
  const clock = new VirtualClock();
  const timers: number[] = [];
  const after = clock.after.bind(clock);
  clock.after = (delayMs, task) => {
    timers.push(delayMs);
    return after(delayMs, task);
  };
  const held = Array.from({ length: count }, (_, i) => stored(i + 1));
  const reads: string[] = [];
  const listeners = new Set<() => void>();
  const source = {
    get end() {
      return (held.at(-1)?.offset ?? 0) + 1;
    },
    async read(from: number, limit: number) {
      reads.push(`${from}+${limit}`);
      return held.filter(({ offset }) => offset >= from).slice(0, limit);
    },
    onAppend(listener: () => void) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  const cursor = new LogCursor({ consumer: 'c', owner: 'o', progress }, () => {});
  const subscription = new SqliteSubscription(source, cursor, clock);
  let calls = 0;
  subscription.onReady(() => calls++);
  return {
    subscription,
    clock,
    timers,
    held,
    reads,
    listeners,
    cursor,
    calls: () => calls,
    take: async (limit = 10) => (await subscription.take(limit)).map(({ offset }) => offset).join(),
  };
}

describe('a subscription to a log in SQLite', () => {
  test('begins at its place, and goes on where it stopped', async () => {
    const { take, reads, subscription } = subscribed(5, new Progress(2));
    assert.deepEqual([subscription.consumer, subscription.position, subscription.deadlineMs], ['c', 2, undefined]);
    assert.deepEqual([await take(2), await take(2), await take(2)], ['2,3', '4,5', '']);
    assert.deepEqual(reads, ['2+2', '4+2', '6+2']);
  });

  test('hands out nothing that is done, however much of that there is', async () => {
    const { take, reads } = subscribed(9, Progress.parse(1, '2-9'));
    assert.deepEqual([await take(4), await take(4), await take(4)], ['1', '9', '']);
    assert.deepEqual(reads, ['1+4', '5+4', '9+4', '10+4']);
  });

  test('follows a place that was moved', async () => {
    const { take, cursor, subscription, reads } = subscribed(9);
    assert.equal(await take(1), '1');
    cursor.moveTo(7);
    assert.deepEqual([await take(), await subscription.backlog()], ['7,8,9', 3]);
    assert.deepEqual(reads, ['1+1', '7+10']);
  });

  test('counts from its place to the end, whatever is done between', async () => {
    const { subscription, held } = subscribed(5);
    await subscription.take(5);
    for (const i of [1, 3]) subscription.ack(held[i] as StoredEvent);
    assert.equal(await subscription.backlog(), 5);
    subscription.ack(held[0] as StoredEvent);
    assert.deepEqual([await subscription.backlog(), subscription.position], [3, 3]);
  });

  test('hands out again what was given back, when it is due, the earliest first, and before what is new', async () => {
    const { subscription, take, clock, held, calls, timers } = subscribed(6);
    assert.equal(await take(4), '1,2,3,4');
    const [first, second, third] = held as [StoredEvent, StoredEvent, StoredEvent];
    subscription.nack(first, 500);
    subscription.nack(second, 300);
    subscription.nack(third, 300);
    assert.deepEqual(timers, [500, 300, 300]);
    await clock.advance(299);
    assert.equal(calls(), 0);
    await clock.advance(1);
    assert.equal(calls(), 1);
    assert.deepEqual([await take(1), await take(4), await take()], ['2', '3', '5,6']);
    assert.deepEqual(timers.slice(3), [0, 200, 200]);
    await clock.advance(200);
    assert.deepEqual([calls(), await take(), await take()], [2, '1', '']);
    await clock.advance(3_600_000);
    assert.equal(calls(), 2);
  });

  test('hands out once more what is given back again', async () => {
    const { subscription, take, held } = subscribed(1);
    for (let i = 0; i < 3; i++) {
      assert.equal(await take(), '1');
      subscription.nack(held[0] as StoredEvent, 0);
    }
    assert.deepEqual([await take(), await take()], ['1', '']);
  });

  test('leaves out of what was given back what is done or too old by now', async () => {
    const { subscription, take, held } = subscribed(4);
    await take();
    for (const each of held) subscription.nack(each, 0);
    subscription.ack(held[1] as StoredEvent);
    held.shift();
    assert.deepEqual([await take(), await take()], ['3,4', '']);
  });

  test('hands out all that was given back at once when it is asked to', async () => {
    const { subscription, take, held, calls, clock } = subscribed(3);
    await take();
    const [first, second, third] = held as [StoredEvent, StoredEvent, StoredEvent];
    subscription.nack(first, 0);
    await clock.advance(10);
    subscription.nack(second, 60_000);
    const before = calls();
    subscription.retryNow();
    assert.equal(calls(), before + 1);
    subscription.nack(third, 0);
    assert.equal(await take(), '1,2,3');
  });

  test('calls at each append, with no timer of its own', async () => {
    const { listeners, calls, timers, take } = subscribed(1);
    for (const listener of listeners) listener();
    await take();
    assert.deepEqual([calls(), timers], [1, []]);
  });

  test('hands out nothing and calls nobody once it is closed', async () => {
    const { subscription, take, listeners, clock, calls, held, timers } = subscribed(3);
    await take(2);
    const [first, second] = held as [StoredEvent, StoredEvent];
    subscription.nack(first, 100);
    await subscription.close();
    await clock.advance(1_000);
    assert.equal(calls(), 0);
    subscription.nack(second, 100);
    await clock.advance(1_000);
    assert.deepEqual([await take(), listeners.size, calls(), timers], ['', 0, 0, [100]]);
  });
});
