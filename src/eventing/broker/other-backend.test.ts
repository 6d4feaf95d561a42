/** The whole broker over a log that is as unlike SQLite's as a log may be. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../../lib/clock.ts';
import { Quarantine } from '../../lib/quarantine.ts';
import { VirtualClock } from '../../lib/virtual-clock.ts';
import { Metrics } from '../../observe/metrics.ts';
import type { LogBackend } from '../backends/event-log.ts';
import { type PartitionedDisk, partitionedBackend } from '../backends/testing/partitioned.ts';
import {
  delivery,
  hastyClock,
  removeDir,
  startSubscriber,
  startTestBroker,
  triggerTo,
  until,
} from './testing/fixture.ts';

const idsOf = (received: readonly { event: { attributes: Record<string, unknown> } }[]) =>
  [...new Set(received.map(({ event }) => String(event.attributes.id)))].toSorted();

test('a broker over partitions with gaps filters, retries, replies, gives up, and goes on after a start', async () => {
  const disk: PartitionedDisk = new Map();
  const backend = partitionedBackend({ disk, clock: systemClock });
  const metrics = new Metrics('broker');
  const worker = await startSubscriber(({ event }, count) => {
    if (event.attributes.id === 'bad') return { status: 400 };
    if (count % 4 === 0) return { status: 503 };
    const id = `reply to ${event.attributes.id}`;
    return { headers: { 'ce-specversion': '1.0', 'ce-id': id, 'ce-source': '/worker', 'ce-type': 'done' } };
  });
  const [ledger, letters] = await Promise.all([startSubscriber(), startSubscriber()]);
  const quarantine = new Quarantine({ setAside: ['event default/b work /even poison'] });
  const triggers = [
    triggerTo(worker.uri, {
      name: 'work',
      filter: { filters: [{ exact: { type: 'todo' } }] },
      delivery: { ...delivery, retries: 20 },
      deadLetterSink: { uri: letters.uri },
    }),
    triggerTo(ledger.uri, { name: 'ledger', filter: { filters: [{ exact: { type: 'done' } }] } }),
    triggerTo(undefined, { name: 'waiting' }),
  ];
  const first = await startTestBroker(triggers, { backend, metrics, quarantine });
  const ids = Array.from({ length: 60 }, (_, i) => `${i}`);
  const post = async (id: string, source: string, type = 'todo') =>
    assert.equal((await first.post({ id, source, type })).status, 202);
  await post('poison', '/even');
  await post('bad', '/odd');
  await Promise.all(ids.map((id, i) => post(id, i % 2 ? '/odd' : '/even')));
  await post('other', '/even', 'other');
  const replies = [...ids].map((id) => `reply to ${id}`).toSorted();
  await until(() => idsOf(ledger.received).length === replies.length);
  assert.deepEqual(idsOf(ledger.received), replies);
  await until(() => letters.received.length > 0);
  assert.deepEqual(idsOf(letters.received), ['bad']);
  assert.deepEqual(idsOf(worker.received), [...ids, 'bad'].toSorted());
  const backlogs = async () => {
    const text = await metrics.text();
    return ['work', 'ledger', 'waiting'].map((name) => {
      return new RegExp(`^kittiwake_broker_backlog{.*trigger="default/${name}".*} (\\d+)$`, 'm').exec(text)?.[1];
    });
  };
  await until(async () => (await backlogs()).join() === '1,0,123');
  await first.stop();

  const late = await startSubscriber();
  const again = triggers.map((each) => (each.name === 'waiting' ? { ...each, subscriber: { uri: late.uri } } : each));
  const second = await startTestBroker(again, { backend, dir: first.dir, quarantine });
  await until(() => idsOf(late.received).length === 123);
  assert.ok(!idsOf(worker.received).includes('poison'));
  quarantine.update([]);
  await until(() => idsOf(worker.received).includes('poison'));
  await second.stop();
  await Promise.all([worker, ledger, letters, late].map((subscriber) => subscriber.stop()));
  await removeDir(first.dir);
});

test('a trigger that cannot be served holds no subscription, however often that is tried', async () => {
  const { clock } = hastyClock();
  const real = partitionedBackend({ disk: new Map(), clock });
  let opened = 0;
  let closed = 0;
  const backend: LogBackend = {
    ...real,
    async open(...args) {
      const log = await real.open(...args);
      const subscribe = log.subscribe.bind(log);
      log.subscribe = async (...whose) => {
        const subscription = await subscribe(...whose);
        const close = subscription.close.bind(subscription);
        opened++;
        subscription.close = () => close().then(() => void closed++);
        return subscription;
      };
      return log;
    },
  };
  const broker = await startTestBroker([triggerTo('http://no url/')], { backend, clock });
  await until(() => opened > 3);
  await broker.stop();
  assert.equal(closed, opened);
  await removeDir(broker.dir);
});

test('a delivery that takes longer than its deadline is not handed out again as long as it is at work', async () => {
  const clock = new VirtualClock();
  const backend = partitionedBackend({ disk: new Map(), clock });
  const answer = Promise.withResolvers<object>();
  const subscriber = await startSubscriber((_, count) => (count === 1 ? answer.promise : {}));
  const slowly = { ...delivery, timeoutMs: 3_600_000 };
  const broker = await startTestBroker([triggerTo(subscriber.uri, { delivery: slowly })], {
    backend,
    clock,
    limits: { inFlightMax: 2 },
  });
  await broker.post({ id: 'slow' });
  await until(() => subscriber.received.length === 1);
  await clock.advance(600_000);
  await broker.post({ id: 'quick' });
  await until(() => subscriber.received.length === 2);
  assert.deepEqual(idsOf(subscriber.received), ['quick', 'slow']);
  answer.resolve({});
  await broker.stop();
  await subscriber.stop();
  await removeDir(broker.dir);
});
