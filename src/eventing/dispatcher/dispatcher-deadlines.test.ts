/** A dispatcher whose log hands deliveries out for a while only. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Quarantine } from '../../lib/quarantine.ts';
import type { Delivery, Subscription } from '../backends/event-log.ts';
import { dispatching, events, settled } from './testing/dispatching.ts';

const name = (i: number) => `event default/b t /s ${i}`;

/** A subscription that hands out what is in `held`, once, and writes down what it is told. */
function fleeting(held: Delivery[]) {
  const told: string[] = [];
  const tell = (what: string) => (delivery: Delivery) => void told.push(`${what} ${delivery.offset}`);
  let listener = () => {};
  const subscription: Subscription = {
    consumer: 'c',
    position: 'somewhere',
    deadlineMs: 30_000,
    take: async (limit) => held.splice(0, limit),
    onReady(newListener) {
      listener = newListener;
    },
    ack: tell('ack'),
    nack: (delivery, delayMs) => void told.push(`nack ${delivery.offset} for ${delayMs}`),
    extend: tell('extend'),
    retryNow: () => void told.push('retry now'),
    backlog: async () => held.length,
    close: async () => void told.push('close'),
  };
  return { subscription, told: () => told.splice(0), ready: () => listener() };
}

describe('a dispatcher whose deliveries have a deadline', () => {
  test('asks for more time a third of it before, for all that it has and is not done with', async () => {
    const { subscription, told } = fleeting(events(4));
    const { clock, answer, posts } = dispatching([], { subscription, inFlightMax: 2 });
    await settled();
    assert.deepEqual([posts.length, told()], [2, []]);
    await clock.advance(9_999);
    assert.deepEqual(told(), []);
    await clock.advance(1);
    assert.deepEqual(told(), ['extend 1', 'extend 2', 'extend 3', 'extend 4']);
    await answer(0, 200);
    assert.deepEqual(told(), ['ack 1']);
    await clock.advance(10_000);
    assert.deepEqual(told(), ['extend 2', 'extend 3', 'extend 4']);
  });

  test('asks for nothing once it is stopped, and gives up its place then', async () => {
    const { subscription, told } = fleeting(events(1));
    const { clock, dispatcher, answer } = dispatching([], { subscription });
    await settled();
    const stopping = dispatcher.stop(60_000);
    await settled();
    await clock.advance(60_000);
    assert.deepEqual(told(), []);
    await answer(0, 200);
    await stopping;
    assert.deepEqual(told(), ['ack 1', 'close']);
    await clock.advance(60_000);
    assert.deepEqual(told(), []);
  });

  test('gives back for a minute what is set aside, and tells of it once, until it is released', async () => {
    const held = events(1);
    const { subscription, told, ready } = fleeting(held);
    const quarantine = new Quarantine({ setAside: [name(1)] });
    let changes = 0;
    const onSetAside = () => void changes++;
    const { dispatcher, errors, posts } = dispatching([], { subscription, quarantine, onSetAside });
    await settled();
    for (let i = 0; i < 2; i++) {
      assert.deepEqual(told(), ['nack 1 for 60000']);
      assert.deepEqual([errors, changes, dispatcher.setAside, posts], [[errors[0]], 1, [name(1)], []]);
      held.push(...events(1));
      ready();
      await settled();
    }
    assert.deepEqual(told(), ['nack 1 for 60000']);
    quarantine.update([]);
    assert.deepEqual([told(), changes, dispatcher.setAside], [['retry now'], 2, []]);
  });

  test('asks for nothing of what is released once it is stopped', async () => {
    const { subscription, told } = fleeting(events(1));
    const quarantine = new Quarantine({ setAside: [name(1)] });
    const { dispatcher } = dispatching([], { subscription, quarantine });
    await settled();
    await dispatcher.stop(0);
    quarantine.update([]);
    assert.deepEqual(told(), ['nack 1 for 60000', 'close']);
  });

  test('gives back for a minute what it cannot bring to an end', async () => {
    const { subscription, told } = fleeting(events(1));
    const fails = () => {
      throw new Error('no more');
    };
    const metrics = { delivered: fails, retried: fails, deadLettered: fails, dropped: fails };
    const { answer } = dispatching([], { subscription, metrics });
    await settled();
    await answer(0, 200);
    assert.deepEqual(told(), ['nack 1 for 60000']);
  });
});
