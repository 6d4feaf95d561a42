/** The dispatcher step by step: the test says what the log holds, how each attempt ends, and what time it is. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { NoReplyError, UnsendableError } from '../../lib/http-client.ts';
import { Quarantine } from '../../lib/quarantine.ts';
import type { StoredEvent } from '../backends/sqlite/stored-event.ts';
import type { Attributes } from '../cloudevents/event.ts';
import type { SubscriberConfig } from './subscriber.ts';
import { delivery, dispatching, events, letters, reply, settled, stored, worker } from './testing/dispatching.ts';

const mebibyte = 1024 * 1024;
const replyHeaders = { 'ce-specversion': '1.0', 'ce-id': 'r', 'ce-source': '/r', 'ce-type': 'reply' };

describe('a dispatcher', () => {
  test('reads 64 events at a time, each once', async () => {
    const { reads, posts } = dispatching(events(65));
    await settled();
    assert.deepEqual(reads, ['1+64', '65+64', '66+64']);
    assert.equal(posts.length, 65);
  });

  test('reads from where its cursor was moved to meanwhile', async () => {
    const { dispatcher, progress, reads } = dispatching([]);
    await settled();
    progress.moveTo(7);
    dispatcher.pump();
    await settled();
    assert.deepEqual(reads, ['1+64', '7+64']);
  });

  test('reads no further than it may have in flight', async () => {
    const { reads, posts } = dispatching(events(65), { inFlightMax: 64 });
    await settled();
    assert.deepEqual([reads, posts.length], [['1+64'], 64]);
  });

  test('reads once at a time, and again when it was called meanwhile', async () => {
    const held: StoredEvent[] = [];
    const { dispatcher, log, to } = dispatching(held);
    await settled();
    const { read } = log;
    const gate = Promise.withResolvers<void>();
    let readers = 0;
    log.read = async (from, limit) => {
      readers++;
      const found = await read(from, limit);
      await gate.promise;
      return found;
    };
    dispatcher.pump();
    await settled();
    held.push(...events(3));
    for (let i = 0; i < 3; i++) dispatcher.pump();
    await settled();
    assert.equal(readers, 1);
    gate.resolve();
    await settled();
    assert.deepEqual(to(), ['1 to worker', '2 to worker', '3 to worker']);
  });

  test('tries again a second after the log could not be read', async () => {
    const { clock, log, posts, dispatcher, errors } = dispatching(events(1), { trigger: { subscriber: undefined } });
    const { read } = log;
    log.read = () => Promise.reject(new Error('no'));
    dispatcher.update(await configOf(worker), () => true);
    await settled();
    assert.deepEqual(errors, ['the log cannot be read, trying again']);
    log.read = read;
    await clock.advance(999);
    assert.equal(posts.length, 0);
    await clock.advance(1);
    await settled();
    assert.equal(posts.length, 1);
  });

  const configOf = async (subscriber: object): Promise<SubscriberConfig> => ({
    namespace: 'default',
    name: 't',
    subscriber: subscriber as { uri: string },
    delivery,
  });

  for (const [what, sizeBytes, firstBytes, most] of [
    ['1,024 events', 100, 100, 1024],
    ['16 MiB', mebibyte, mebibyte, 16],
    ['16 MiB, and the event that goes beyond,', mebibyte, mebibyte - 1, 17],
  ] as const) {
    test(`holds ${what} that wait for another attempt, and more as they are done`, async () => {
      const retrying = { delivery: { ...delivery, retries: 1 } };
      const held = [stored(1, { sizeBytes: firstBytes }), ...events(1100, { sizeBytes }).slice(1)];
      const { posts, answer } = dispatching(held, { trigger: retrying });
      await settled();
      assert.equal(posts.length, most);
      await answer(0, 500);
      assert.equal(posts.length, most, 'one that waits is held');
      for (let i = 1; i <= 5; i++) posts[i]?.answer(reply(200));
      await settled();
      assert.equal(posts.length, most + 5);
    });
  }

  test('shares 8 MiB among the replies that are not complete', async () => {
    const { posts } = dispatching(events(1));
    await settled();
    const budget = posts[0]?.options.budget;
    assert.deepEqual([budget?.tryTake(8 * 1024 * 1024), budget?.tryTake(1)], [true, false]);
  });

  test('is done with what it does not want, and with what is delivered', async () => {
    const matches = ({ attributes }: StoredEvent['event']) => attributes.id === '2';
    const { dispatcher, progress, posts, answer, counts } = dispatching(events(2), { matches });
    await settled();
    assert.deepEqual([progress.position, posts.length, await dispatcher.backlog()], [2, 1, 1]);
    await answer(0, 200);
    assert.deepEqual([progress.position, await dispatcher.backlog()], [3, 0]);
    assert.deepEqual(counts, { delivered: 1, retried: 0, deadLettered: 0, dropped: 0 });
  });

  test('attempts nothing that is done already', async () => {
    const { dispatcher, progress, to } = dispatching(events(3), { trigger: { subscriber: undefined } });
    progress.done(2);
    dispatcher.update(await configOf(worker), () => true);
    await settled();
    assert.deepEqual(to(), ['1 to worker', '3 to worker']);
  });

  test('tells who asks that a reply is welcome, and in which namespace', async () => {
    const { posts } = dispatching(events(1));
    await settled();
    const { headers = [] } = posts[0] ?? {};
    const after = (name: string) => headers[headers.indexOf(name) + 1];
    assert.deepEqual([after('prefer'), after('kn-namespace')], ['reply', 'default']);
  });

  test('waits longer before each attempt, and at least as long as it is asked to', async () => {
    const trigger = { delivery: { ...delivery, retries: 4 } };
    const { waits, clock, answer, counts } = dispatching(events(1), { trigger });
    await settled();
    for (const [i, asked] of ['', '', '7', '0', ''].entries()) {
      await answer(i, 503, { 'retry-after': asked });
      await clock.advance(waits.at(-1) ?? 0);
      await settled();
    }
    assert.deepEqual(waits, [100, 200, 7000, 400]);
    assert.deepEqual([counts.retried, counts.dropped], [4, 1]);
  });

  test('wants what its newest filter wants', async () => {
    const held = events(1);
    const { dispatcher, progress, posts } = dispatching(held);
    await settled();
    dispatcher.update(await configOf(worker), () => false);
    held.push(stored(2));
    dispatcher.pump();
    await settled();
    assert.deepEqual([posts.length, progress.isDone(2)], [1, true]);
  });

  const failing = () => {
    throw new Error('the filter is broken');
  };
  for (const [what, change, options, dead] of [
    ['that is damaged', { damage: 'half of it is missing', event: { attributes: {} } }, {}, false],
    ['at which the filter fails', {}, { matches: failing }, true],
    ['that has no encoding', { event: { attributes: { ext: { toString: 1 } as unknown as string } } }, {}, false],
  ] as const) {
    test(`attempts nothing for an event ${what}`, async () => {
      const trigger = { deadLetterSink: letters, delivery: { ...delivery, retries: 3 } };
      const { posts, counts, waits, answer, progress, errors } = dispatching([stored(1, change)], {
        ...options,
        trigger,
      });
      await settled();
      await answer(0, 200);
      assert.deepEqual([posts.length, counts.deadLettered], dead ? [1, 1] : [0, 0]);
      assert.equal(counts.dropped, dead ? 0 : 1);
      assert.deepEqual([waits, errors, progress.position], [[], [], 2]);
    });
  }

  test('attempts once what is refused for good', async () => {
    const { counts, answer, posts } = dispatching(events(1), { trigger: { delivery: { ...delivery, retries: 3 } } });
    await settled();
    await answer(0, 400);
    assert.deepEqual([posts.length, counts], [1, { delivered: 0, retried: 0, deadLettered: 0, dropped: 1 }]);
  });

  for (const [what, error, retried, logged] of [
    ['got no reply', new NoReplyError('nobody there', 'ECONNREFUSED'), 1, 0],
    ['failed on our side', new TypeError('a mistake'), 1, 1],
    ['cannot be sent', new UnsendableError('no such header'), 0, 0],
  ] as const) {
    test(`takes an attempt that ${what} for ${retried ? 'one to be repeated' : 'the last'}`, async () => {
      const trigger = { delivery: { ...delivery, retries: 1 } };
      const { counts, errors, fail, clock, answer } = dispatching(events(1), { trigger });
      await settled();
      await fail(0, error);
      assert.deepEqual([counts.retried, errors.length], [retried, logged]);
      await clock.advance(100);
      await answer(1, 200);
      assert.equal(counts.delivered, retried);
    });
  }

  test('hands the answer to its reply sink, and shows of an event what may be seen', async () => {
    const shown = ({ type: _, ...others }: Attributes) => ({ ...others, type: 'shown' });
    const { answer, replies, counts, posts } = dispatching(events(2), { trigger: { deadLetterSink: letters }, shown });
    await settled();
    await answer(0, 200, replyHeaders);
    await answer(1, 400);
    assert.deepEqual([replies, counts.delivered], [['r'], 1]);
    const types = posts.map(({ to, headers }) => [to, headers[headers.indexOf('ce-type') + 1]]);
    assert.deepEqual(types, [
      ['1 to worker', 'shown'],
      ['2 to worker', 'shown'],
      ['2 to letters', 'shown'],
    ]);
  });

  test('lets others be delivered while one waits, which then waits for its turn', async () => {
    const trigger = { delivery: { ...delivery, retries: 1 } };
    const { to, answer, clock } = dispatching(events(3), { trigger, inFlightMax: 1 });
    await settled();
    await answer(0, 500);
    assert.deepEqual(to(), ['1 to worker', '2 to worker']);
    await clock.advance(100);
    await settled();
    assert.equal(to().length, 2);
    await answer(1, 200);
    assert.deepEqual(to().slice(2), ['1 to worker']);
    await answer(2, 200);
    assert.deepEqual(to().slice(3), ['3 to worker']);
  });

  test('waits for a subscriber that went away, however often the trigger changes meanwhile', async () => {
    const trigger = { delivery: { ...delivery, retries: 1 } };
    const { to, answer, clock, update, progress } = dispatching(events(1), { trigger });
    await settled();
    update({ subscriber: undefined, ...trigger });
    await answer(0, 500);
    await clock.advance(100);
    await settled();
    for (let i = 0; i < 3; i++) {
      update({ subscriber: undefined, ...trigger });
      await settled();
    }
    assert.equal(to().length, 1);
    update(trigger);
    await settled();
    await answer(1, 200);
    assert.equal(progress.position, 2);
  });

  test('does not wait for a subscriber, or for its end, once it is stopped', async () => {
    const trigger = { delivery: { ...delivery, retries: 1 } };
    const waiting = dispatching(events(1), { trigger });
    await settled();
    waiting.update({ subscriber: undefined, ...trigger });
    await waiting.answer(0, 500);
    await waiting.clock.advance(100);
    await settled();
    await waiting.dispatcher.stop(60_000);
    const stopped = Promise.withResolvers<void>();
    const early = dispatching(events(1), { trigger: { subscriber: undefined } });
    early.dispatcher.update(await configOf(worker), () => {
      early.update({ subscriber: undefined });
      void early.dispatcher.stop(60_000).then(stopped.resolve);
      return true;
    });
    await settled();
    await early.dispatcher.stop(60_000);
    for (const { errors, progress, counts } of [waiting, early]) {
      assert.deepEqual([errors, progress.position, counts.dropped], [[], 1, 0]);
    }
  });

  test('starts nothing more once it is stopped, and waits for what is under way, for a while', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const held = events(1);
    const { dispatcher, posts, answer, progress } = dispatching(held);
    await settled();
    let isStopped = false;
    const stopping = dispatcher.stop(1_000).then(() => {
      isStopped = true;
    });
    held.push(stored(2));
    dispatcher.pump();
    await settled();
    assert.deepEqual([isStopped, posts.length], [false, 1]);
    await answer(0, 200);
    await stopping;
    assert.equal(progress.position, 2);
    t.mock.timers.tick(1_000);
    assert.equal(posts[0]?.options.signal?.aborted, false);
  });

  test('gives up what is under way when it takes too long to stop, and the event comes again', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { dispatcher, errors, progress, counts } = dispatching(events(1));
    await settled();
    const stopping = dispatcher.stop(1_000);
    t.mock.timers.tick(1_000);
    await stopping;
    assert.deepEqual([errors, progress.position, counts.dropped], [[], 1, 0]);
  });

  test('gives up nothing that fails while it stops', async () => {
    const { dispatcher, answer, progress, counts } = dispatching(events(1));
    await settled();
    const stopping = dispatcher.stop(60_000);
    await answer(0, 400);
    await stopping;
    assert.deepEqual([progress.position, counts.dropped], [1, 0]);
  });

  test('interrupts waits when it stops, and the event comes again', async () => {
    const trigger = { delivery: { ...delivery, retries: 1 } };
    const { dispatcher, answer, errors, progress } = dispatching(events(1), { trigger });
    await settled();
    await answer(0, 500);
    await dispatcher.stop(60_000);
    assert.deepEqual([errors, progress.position], [[], 1]);
  });

  test('keeps an event of which something else fails, and says so', async () => {
    const nothing = () => {};
    const metrics = {
      delivered: () => assert.fail('not counted'),
      retried: nothing,
      deadLettered: nothing,
      dropped: nothing,
    };
    const { dispatcher, answer, errors, progress } = dispatching(events(1), { metrics });
    await settled();
    await answer(0, 200);
    assert.deepEqual(errors, ['event not done: it comes again later']);
    assert.deepEqual([dispatcher.setAside.length, progress.position], [0, 1]);
  });

  test('tells of what is set aside, and delivers it once it is released', async () => {
    const name = 'event default/b t /s 1';
    const quarantine = new Quarantine({ setAside: [name, 'another'] });
    let told = 0;
    const onSetAside = () => void told++;
    const { dispatcher, to, reads } = dispatching(events(2), { quarantine, onSetAside });
    await settled();
    assert.deepEqual([to(), dispatcher.setAside.length, told], [['2 to worker'], 1, 1]);
    quarantine.update([name]);
    await settled();
    assert.equal(told, 1);
    quarantine.update([]);
    await settled();
    assert.deepEqual([to(), dispatcher.setAside.length, told], [['2 to worker', '1 to worker'], 0, 2]);
    assert.ok(reads.includes('1+1'));
  });

  test('delivers nothing else for an event that is gone when it is released', async () => {
    const quarantine = new Quarantine({ setAside: ['event default/b t /s 1'] });
    const held = events(2);
    const { dispatcher, to, answer } = dispatching(held, { quarantine });
    await settled();
    await answer(0, 200);
    held.shift();
    quarantine.update([]);
    await settled();
    assert.deepEqual([to(), dispatcher.setAside.length], [['2 to worker'], 0]);
  });

  test('releases nothing once it is stopped', async () => {
    for (const when of ['before', 'meanwhile'] as const) {
      const quarantine = new Quarantine({ setAside: ['event default/b t /s 1'] });
      const { dispatcher, posts, reads } = dispatching(events(1), { quarantine });
      await settled();
      const before = reads.length;
      if (when === 'meanwhile') quarantine.update([]);
      await dispatcher.stop(60_000);
      quarantine.update([]);
      await settled();
      assert.equal(posts.length, 0);
      assert.equal(reads.length, when === 'before' ? before : before + 1);
    }
  });

  test('repeats a dead letter as the delivery says, then at least each second and at most each minute', async () => {
    const slowly = { ...delivery, retries: 2, delayMs: 300, policy: 'exponential' };
    const trigger = { deadLetterSink: letters, delivery: slowly };
    const { waits, answer, clock, posts, errors, counts } = dispatching(events(1), { trigger });
    await settled();
    await answer(0, 400);
    const logged: number[] = [];
    for (let i = 1; i <= 10; i++) {
      await answer(i, 503);
      logged.push(errors.length);
      await clock.advance(waits.at(-1) ?? 0);
      await settled();
    }
    assert.deepEqual(waits, [300, 600, 1200, 2400, 4800, 9600, 19_200, 38_400, 60_000, 60_000]);
    assert.deepEqual(logged, [0, 0, 1, 1, 1, 1, 1, 1, 1, 1]);
    await answer(posts.length - 1, 200);
    assert.equal(counts.deadLettered, 1);
  });

  test('repeats a dead letter each second when the delivery says nothing longer', async () => {
    const trigger = { deadLetterSink: letters, delivery: { ...delivery, retries: 2, delayMs: 0 } };
    const { waits, answer, clock } = dispatching(events(1), { trigger });
    await settled();
    await answer(0, 400);
    for (let i = 1; i <= 4; i++) {
      await answer(i, 503);
      await clock.advance(waits.at(-1) ?? 0);
      await settled();
    }
    assert.deepEqual(waits, [0, 0, 1000, 1000]);
  });

  test('waits for a dead letter sink that is not known yet, and drops the event when there is none', async () => {
    for (const [deadLetterSink, expected] of [
      [letters, { posts: 2, dropped: 0 }],
      [undefined, { posts: 1, dropped: 1 }],
    ] as const) {
      const { answer, update, posts, counts } = dispatching(events(1), { trigger: { deadLetterSink: {} } });
      await settled();
      await answer(0, 400);
      update({ deadLetterSink: {} });
      await settled();
      assert.deepEqual([posts.length, counts.dropped], [1, 0]);
      update({ deadLetterSink });
      await settled();
      assert.deepEqual({ posts: posts.length, dropped: counts.dropped }, expected);
    }
  });

  test('names no destination in a dead letter when there is none any more', async () => {
    const { answer, update, posts } = dispatching(events(1), { trigger: { deadLetterSink: letters } });
    await settled();
    update({ subscriber: undefined, deadLetterSink: letters });
    await answer(0, 400);
    const { headers = [] } = posts[1] ?? {};
    assert.equal(headers[headers.indexOf('ce-knativeerrordest') + 1], '');
    assert.ok(headers.includes('prefer'));
  });

  test('drops a dead letter that cannot be sent', async () => {
    const { answer, fail, counts, waits } = dispatching(events(1), { trigger: { deadLetterSink: letters } });
    await settled();
    await answer(0, 400);
    await fail(1, new UnsendableError('too large'));
    assert.deepEqual([counts.dropped, waits], [1, []]);
  });
});
