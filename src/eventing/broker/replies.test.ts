import assert from 'node:assert/strict';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { commonErrors } from '../../lib/errors.ts';
import { Quarantine } from '../../lib/quarantine.ts';
import { silentLogger } from '../../observe/log.ts';
import { Metrics } from '../../observe/metrics.ts';
import type { EventLog, NewEvent } from '../backends/event-log.ts';
import { SqliteLog } from '../backends/sqlite/sqlite-log.ts';
import { Dispatcher } from '../dispatcher/dispatcher.ts';
import { countedDeliveries } from '../dispatcher/testing/dispatching.ts';
import { Poster } from '../poster.ts';
import { replyToLog } from './reply-to-log.ts';
import {
  delivery,
  hastyClock,
  removeDir,
  startSubscriber,
  startTestBroker,
  triggerTo,
  until,
} from './testing/fixture.ts';

const event = (id: string): NewEvent => ({
  event: { attributes: { specversion: '1.0', id, source: '/s', type: 't' } },
  headers: [],
});

/** A dispatcher over a real log, of which `change` may replace something. */
async function startDispatcher(
  uri: string,
  retries: number,
  change: (log: EventLog) => Partial<Pick<EventLog, 'append'>> = () => ({}),
) {
  const dir = await mkdtemp(join(tmpdir(), 'kittiwake-dispatcher-'));
  const { clock } = hastyClock();
  const onFailure = (error: unknown) => assert.fail(String(error));
  const log = new SqliteLog({ path: join(dir, 'log.db'), broker: 'default/b', clock, log: silentLogger, onFailure });
  const cursor = await log.cursor('c');
  const append: EventLog['append'] = (...args) => log.append(...args);
  const { counts, metrics } = countedDeliveries();
  const poster = new Poster();
  const dispatcher = new Dispatcher({
    subscription: await log.subscribe('c', ''),
    reply: replyToLog({ append, ...change(log) }, clock),
    origin: 'default/b',
    config: triggerTo(uri, { delivery: { ...delivery, retries } }),
    matches: ({ attributes }) => attributes.type === 't',
    quarantine: new Quarantine(),
    poster,
    gatewayUrl: undefined,
    inFlightMax: 2,
    replyBytesMax: 1000,
    clock,
    log: silentLogger,
    metrics,
  });
  return {
    log,
    cursor,
    counts,
    async stop() {
      await dispatcher.stop(0);
      await log.close();
      poster.close();
      await removeDir(dir);
    },
  };
}

const replyHeaders = { 'ce-specversion': '1.0', 'ce-id': 'r', 'ce-source': '/r', 'ce-type': 'reply' };

test('a reply that cannot be stored is a failed delivery: the event is not done, and is delivered again', async () => {
  const worker = await startSubscriber(() => ({ headers: replyHeaders }));
  const disk = commonErrors.DISK_FULL({ path: 'log.db' });
  let failures = 2;
  const seen: boolean[] = [];
  const stored: unknown[] = [];
  const world = await startDispatcher(worker.uri, 5, (log) => ({
    async append(one, options) {
      seen.push(world.cursor.isDone(1));
      if (failures-- > 0) throw disk;
      stored.push(one.event.attributes.id);
      return log.append(one, options);
    },
  }));
  await world.log.append(event('1'));
  await until(() => world.counts.delivered === 1);
  assert.equal(worker.received.length, 3);
  assert.deepEqual(seen, [false, false, false]);
  assert.deepEqual(world.counts, { delivered: 1, retried: 2, deadLettered: 0, dropped: 0 });
  assert.deepEqual(stored, ['r']);
  await until(() => world.cursor.isDone(1));
  await world.stop();
  await worker.stop();
});

test('a reply that can never be stored is no delivery', async () => {
  const worker = await startSubscriber(() => ({ headers: replyHeaders }));
  const world = await startDispatcher(worker.uri, 1, () => ({
    append: () => Promise.reject(new TypeError('not what was foreseen')),
  }));
  await world.log.append(event('1'));
  await until(() => world.cursor.isDone(1));
  assert.equal(worker.received.length, 2);
  assert.deepEqual(world.counts, { delivered: 0, retried: 1, deadLettered: 0, dropped: 1 });
  await world.stop();
  await worker.stop();
});

test('an event that fails while the broker stops is kept, not given up', async () => {
  const asked = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<{ status: number }>();
  const subscriber = await startSubscriber(() => {
    asked.resolve();
    return ended.promise;
  });
  const world = await startDispatcher(subscriber.uri, 0);
  await world.log.append(event('1'));
  await asked.promise;
  const stopped = world.stop();
  ended.resolve({ status: 500 });
  await stopped;
  assert.equal(world.cursor.isDone(1), false);
  assert.equal(world.counts.dropped, 0);
  await subscriber.stop();
});

test('an event that ended the process twice is kept and not delivered until it is released; others are', async () => {
  const subscriber = await startSubscriber();
  const metrics = new Metrics('broker');
  const quarantine = new Quarantine({ setAside: ['event default/b t /test bad'] });
  const triggers = [triggerTo(subscriber.uri)];
  const first = await startTestBroker(triggers, { quarantine, metrics });
  for (const id of ['before', 'bad', 'after']) await first.post({ id });
  const ids = () => subscriber.received.map(({ event: { attributes } }) => attributes.id).toSorted();
  const counted = async () => {
    const text = await metrics.text();
    const value = (name: string) => new RegExp(`^kittiwake_broker_${name}{.*} (\\d+)$`, 'm').exec(text)?.[1];
    return `${value('events_set_aside')} of ${value('backlog')}`;
  };
  await until(async () => ids().length === 2 && (await counted()) === '1 of 2');
  assert.deepEqual(ids(), ['after', 'before']);
  await first.stop();

  const second = await startTestBroker(triggers, { quarantine, dir: first.dir });
  await second.post({ id: 'last' });
  await until(() => ids().length === 3);
  assert.deepEqual(ids(), ['after', 'before', 'last']);
  quarantine.update([]);
  await until(() => ids().length === 4);
  assert.deepEqual(ids(), ['after', 'bad', 'before', 'last']);
  await second.stop();

  const third = await startTestBroker(triggers, { dir: first.dir });
  await third.post({ id: 'new' });
  await until(() => ids().includes('new'));
  assert.equal(ids().length, 5);
  await third.stop();
  await subscriber.stop();
  await removeDir(first.dir);
});
