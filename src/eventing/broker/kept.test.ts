/** What is kept on disk, for whom, and until when. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { openWorld } from '../../../test/world.ts';
import { type Broker, BrokerKind } from '../../api/eventing/broker.ts';
import { type Trigger, TriggerKind } from '../../api/eventing/trigger.ts';
import type { Client, WatchEvent, WatchOptions } from '../../kube/client.ts';
import { systemClock } from '../../lib/clock.ts';
import { KittiwakeError } from '../../lib/errors.ts';
import { Quarantine } from '../../lib/quarantine.ts';
import { VirtualClock } from '../../lib/virtual-clock.ts';
import { silentLogger } from '../../observe/log.ts';
import { writeOldLog } from '../backends/sqlite/testing/old-log.ts';
import { Poster } from '../poster.ts';
import { Brokers } from './brokers.ts';
import type { TriggerConfig } from './config.ts';
import { startBroker } from './index.ts';
import { readKnown } from './known.ts';
import { brokerMetrics } from './metrics.ts';
import { logsIn, removeDir, startSubscriber, testDir, triggerTo, until } from './testing/fixture.ts';

/** The brokers of one process after the other, on one folder. */
async function startBrokers(dir: string) {
  const poster = new Poster();
  const brokers = new Brokers({
    dir,
    backend: logsIn(dir),
    poster,
    quarantine: new Quarantine(),
    gatewayUrl: undefined,
    inFlightMax: 32,
    replyBytesMax: 1000,
    clock: systemClock,
    log: silentLogger,
    metrics: brokerMetrics(undefined, { backlogs: async () => [] }),
    onChange() {},
  });
  await brokers.restore();
  return {
    brokers,
    async accept(id: string) {
      const runtime = brokers.find('default', 'b');
      assert.ok(!(runtime instanceof KittiwakeError));
      const event = { attributes: { specversion: '1.0', id, source: '/s', type: 't' } };
      await runtime.accept({ event, headers: [] });
    },
    /** How many events the trigger `t` has before it. */
    async backlog() {
      return (await brokers.backlogs()).find(({ trigger }) => trigger === 'default/t')?.events;
    },
    async stop() {
      await brokers.stop(0);
      poster.close();
    },
  };
}

const broker = (uid: string) => ({ namespace: 'default', name: 'b', uid });
const trigger = (uid: string): TriggerConfig => triggerTo(undefined, { uid });
const all = (platform: string | undefined, brokerUid: string, triggerUid: string) => ({
  platform,
  brokers: [broker(brokerUid)],
  triggers: [trigger(triggerUid)],
});
const nothing = (platform: string) => ({ platform, brokers: [], triggers: [] });
const logOf = (dir: string) => join(dir, 'logs', 'default', 'b.db');

/** A broker with one event that its trigger has yet to get. */
async function withOneEvent(dir: string) {
  const world = await startBrokers(dir);
  await world.brokers.set(all('here', 'b1', 't1'));
  await world.accept('old');
  assert.equal(await world.backlog(), 1);
  return world;
}

for (const [what, platform, uids, deleted, expected] of [
  ['that was deleted and made again under its name', 'here', ['b2', 't2'], ['b1', 't1'], 0],
  ['that was deleted and made again while nobody watched', 'here', ['b2', 't2'], [], 0],
  ['whose platform was moved', 'there', ['b2', 't2'], [], 1],
  ['that was deleted and made again on another platform', 'there', ['b2', 't2'], ['b1', 't1'], 0],
  ['whose trigger was deleted and made again', 'here', ['b1', 't2'], ['t1'], 0],
  ['whose trigger was deleted and made again while nobody watched', 'here', ['b1', 't2'], [], 0],
  ['of a platform that is not known', undefined, ['b2', 't2'], [], 1],
  ['that is the same', 'here', ['b1', 't1'], [], 1],
] as const) {
  for (const when of ['at work', 'after a start'] as const) {
    test(`a broker ${what} (${when}) has ${expected} of one event of before`, async () => {
      const dir = await testDir();
      let world = await withOneEvent(dir);
      if (when === 'after a start') {
        await world.stop();
        world = await startBrokers(dir);
      }
      await world.brokers.set(all(platform, uids[0], uids[1]), deleted);
      assert.equal(await world.backlog(), expected);
      assert.deepEqual(world.brokers.subscribed(trigger(uids[1])), { uid: uids[1] });
      await world.accept('new');
      await world.stop();
      const again = await startBrokers(dir);
      await again.brokers.set(all(platform, uids[0], uids[1]));
      assert.equal(await again.backlog(), expected + 1);
      await again.stop();
      await removeDir(dir);
    });
  }
}

test('a list that does not show a broker, or a trigger, loses nothing', async () => {
  const dir = await testDir();
  const world = await withOneEvent(dir);
  await world.brokers.set(nothing('here'));
  assert.ok(world.brokers.find('default', 'b') instanceof KittiwakeError);
  assert.ok(existsSync(logOf(dir)));
  await world.brokers.set({ ...all('here', 'b1', 't1'), triggers: [] });
  await world.brokers.set(all('here', 'b1', 't1'));
  assert.equal(await world.backlog(), 1);
  assert.equal(world.brokers.hasAbsent, false);
  await world.stop();
  await removeDir(dir);
});

test('a log is removed at once when the deletion of its broker was seen, also one that was absent', async () => {
  for (const isAbsentBefore of [false, true]) {
    const dir = await testDir();
    const world = await withOneEvent(dir);
    if (isAbsentBefore) await world.brokers.set(nothing('here'));
    await world.brokers.set(nothing('here'), ['other']);
    assert.ok(existsSync(logOf(dir)));
    await world.brokers.set(nothing('here'), ['b1']);
    assert.equal(existsSync(logOf(dir)), false);
    assert.equal(world.brokers.hasAbsent, false);
    await world.stop();
    await removeDir(dir);
  }
});

test('what was not there for ten looks on its own platform is removed; who comes back is counted anew', async () => {
  for (const restarts of [false, true]) {
    const dir = await testDir();
    let world = await withOneEvent(dir);
    const look = async (count: number) => {
      for (let i = 0; i < count; i++) await world.brokers.looked(new Set());
    };
    await world.brokers.set(nothing('here'));
    await look(9);
    await world.brokers.looked(new Set(['broker default/b']));
    await look(9);
    if (restarts) {
      await world.stop();
      world = await startBrokers(dir);
      await world.brokers.set(nothing('here'));
    }
    assert.ok(existsSync(logOf(dir)));
    await look(1);
    assert.equal(existsSync(logOf(dir)), false);
    await world.stop();
    await removeDir(dir);
  }
});

test('the place of a trigger that nobody saw deleted holds its events for ten looks', async () => {
  const dir = await testDir();
  const world = await withOneEvent(dir);
  await world.brokers.set({ ...all('here', 'b1', 't1'), triggers: [] });
  for (let i = 0; i < 10; i++) {
    assert.ok(world.brokers.hasAbsent);
    assert.equal(readKnown(join(dir, 'known.json'))?.absent?.[0]?.looks ?? 0, i);
    await world.brokers.looked(new Set(['broker default/b']));
  }
  assert.equal(world.brokers.hasAbsent, false);
  await world.brokers.set(all('here', 'b1', 't1'));
  assert.equal(await world.backlog(), 0);
  await world.stop();
  await removeDir(dir);
});

test('on another platform, what is absent has a week', async () => {
  const dir = await testDir();
  const world = await withOneEvent(dir);
  await world.brokers.set(nothing('there'));
  const looks = () => readKnown(join(dir, 'known.json'))?.absent?.[0]?.looks;
  for (let i = 0; i < 20; i++) await world.brokers.looked(new Set());
  assert.equal(looks(), 20);
  assert.ok(existsSync(logOf(dir)));
  await world.brokers.set(all('there', 'b2', 't2'));
  assert.equal(await world.backlog(), 1);
  await world.stop();
  await removeDir(dir);
});

test('nothing is removed by what was last known, whatever it lacks', async () => {
  const dir = await testDir();
  const world = await withOneEvent(dir);
  await world.brokers.set(nothing('here'));
  await world.stop();
  const again = await startBrokers(dir);
  assert.ok(existsSync(logOf(dir)));
  assert.match(readFileSync(join(dir, 'known.json'), 'utf8'), /"name":"broker default\/b","owner":"b1 here"/);
  await again.stop();
  await removeDir(dir);
});

test('a broker goes on where it was when a start is told of too little, once it is told of all', async () => {
  const world = await openWorld({ controllers: [] });
  const dir = await testDir();
  const clock = new VirtualClock();
  const start = (client: Client) =>
    startBroker({ client, dir, backend: logsIn(dir), port: 0, clock, log: silentLogger });
  const subscriber = await startSubscriber();
  const meta = { namespace: 'default', name: 'b' };
  const apiVersion = 'eventing.knative.dev/v1';
  await world.client.create(BrokerKind, { apiVersion, kind: 'Broker', metadata: meta, spec: {} } as Broker);
  const spec = { broker: 'b', subscriber: { uri: subscriber.uri } };
  await world.client.create(TriggerKind, { apiVersion, kind: 'Trigger', metadata: meta, spec } as Trigger);
  const first = await start(world.client);
  const annotated = (object: { status?: object } | undefined) => 'annotations' in (object?.status ?? {});
  await world.until(TriggerKind, meta, annotated);
  const headers = { 'ce-specversion': '1.0', 'ce-id': 'kept', 'ce-source': '/s', 'ce-type': 't' };
  assert.equal((await fetch(`${first.url}/default/b`, { method: 'POST', headers })).status, 202);
  await first.stop();

  const { client, showAll } = forgetful(world.client);
  const second = await start(client);
  await until(async () => (await fetch(`${second.url}/default/b`, { method: 'POST', headers })).status === 404);
  showAll();
  const patch = { status: { subscriberUri: subscriber.uri } };
  await world.client.patch(TriggerKind, meta, { type: 'merge', patch }, 'status');
  await until(async () => {
    await clock.advance(1000);
    return subscriber.received.length > 0;
  });
  assert.equal(subscriber.received[0]?.event.attributes.id, 'kept');
  await second.stop();

  const third = await start(world.client);
  await until(async () => (await fetch(`${third.url}/default/b`, { method: 'POST', headers })).status === 202);
  await world.client.delete(BrokerKind, meta);
  await until(() => !existsSync(logOf(dir)), 'the log of a broker that was deleted is removed');
  await third.stop();
  await subscriber.stop();
  await world.stop();
  await removeDir(dir);
});

/** A client whose first watch of each kind shows nothing of what is there, until it ends. */
function forgetful(client: Client): { client: Client; showAll(): void } {
  const isShown = Promise.withResolvers<void>();
  const seen = new Set<string>();
  async function* watch(kind: Parameters<Client['watch']>[0], options: WatchOptions): AsyncGenerator<unknown> {
    if (seen.has(kind.kind)) return yield* client.watch(kind, options);
    seen.add(kind.kind);
    yield { type: 'BOOKMARK', resourceVersion: '', isInitialEnd: true } satisfies WatchEvent<never>;
    await isShown.promise;
  }
  const only = {
    watch,
    get: client.get.bind(client),
    list: client.list.bind(client),
    patch: client.patch.bind(client),
  };
  return { client: only as unknown as Client, showAll: isShown.resolve };
}

test('the log and the places of an old data folder are taken over', async () => {
  const dir = await testDir();
  mkdirSync(join(dir, 'logs'));
  writeOldLog(join(dir, 'logs', 'default.b.b1.db'), ['t/t1']);
  const world = await startBrokers(dir);
  await world.brokers.set(all('here', 'b1', 't1'));
  assert.equal(await world.backlog(), 1);
  await world.stop();
  await removeDir(dir);
});
