/** What goes wrong with one broker or one trigger stops that one, is told, and ends by itself. */
import assert from 'node:assert/strict';
import { fdatasync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { KittiwakeError } from '../../lib/errors.ts';
import { Quarantine } from '../../lib/quarantine.ts';
import { silentLogger } from '../../observe/log.ts';
import type { Flush } from '../backends/sqlite/sqlite-file.ts';
import { Poster } from '../poster.ts';
import { Brokers, type BrokersOptions } from './brokers.ts';
import { brokerMetrics } from './metrics.ts';
import {
  hastyClock,
  logsIn,
  removeDir,
  startSubscriber,
  startTestBroker,
  testDir,
  triggerTo,
  until,
} from './testing/fixture.ts';

const configOf = (name: string) => ({ namespace: 'default', name, uid: `uid-of-${name}` });
const whyNot = (brokers: Brokers, name: string) => {
  const found = brokers.find('default', name);
  return found instanceof KittiwakeError ? `${found.status} ${found.message}` : undefined;
};

async function startBrokers(options: Partial<BrokersOptions> = {}) {
  const dir = options.dir ?? (await testDir());
  const poster = new Poster();
  const { clock } = hastyClock();
  let changes = 0;
  const brokers = new Brokers({
    poster,
    quarantine: new Quarantine(),
    gatewayUrl: undefined,
    inFlightMax: 32,
    replyBytesMax: 1000,
    backend: logsIn(dir, { clock }),
    clock,
    log: silentLogger,
    metrics: brokerMetrics(undefined, { backlogs: async () => [] }),
    onChange: () => changes++,
    ...options,
    dir,
  });
  return {
    brokers,
    dir,
    changes: () => changes,
    async stop() {
      await brokers.stop(0);
      poster.close();
      await removeDir(dir);
    },
  };
}

test('a damaged log stops its broker, which says why, and serves again once the file is mended', async () => {
  const dir = await testDir();
  const path = join(dir, 'logs', 'default', 'bad.db');
  await mkdir(join(dir, 'logs', 'default'), { recursive: true });
  await writeFile(path, 'no database'.repeat(100));
  const { brokers, changes, stop } = await startBrokers({ dir });
  await brokers.set({ brokers: [configOf('bad'), configOf('good')], triggers: [] });
  assert.equal(whyNot(brokers, 'good'), undefined);
  assert.match(
    whyNot(brokers, 'bad') ?? '',
    /^503 .*default\/bad does not accept events yet: .*bad\.db .*move it away/,
  );
  assert.match(brokers.served(configOf('bad'))?.error ?? '', /EVENT_LOG|could not be read/);
  const before = changes();
  await rm(path);
  await until(() => whyNot(brokers, 'bad') === undefined);
  await until(() => changes() > before);
  assert.deepEqual(brokers.served(configOf('bad')), { uid: 'uid-of-bad' });
  await stop();
});

test('a log that fails at work stops its broker, and nothing that was acknowledged is lost', async () => {
  let isBroken = false;
  const flush: Flush = (fd, done) => (isBroken ? done(new Error('EIO: i/o error')) : fdatasync(fd, done));
  const subscriber = await startSubscriber();
  const triggers = [triggerTo(undefined)];
  const { clock } = hastyClock();
  const broker = await startTestBroker(triggers, { fdatasync: flush, clock });
  assert.equal((await broker.post({ id: 'kept' })).status, 202);
  isBroken = true;
  const refused = await broker.post({ id: 'refused' });
  assert.equal(refused.status, 503);
  assert.match(refused.text, /EVENT_LOG_FAILED: .*default.b.*EIO/);
  const meanwhile = await broker.post();
  assert.equal(meanwhile.status, 503, meanwhile.text);
  isBroken = false;
  await until(async () => (await broker.post({ id: 'later' })).status === 202);
  await broker.stop();
  const again = await startTestBroker([triggerTo(subscriber.uri)], { dir: broker.dir });
  const ids = () => subscriber.received.map(({ event }) => event.attributes.id);
  await until(() => ids().includes('kept') && ids().includes('later'));
  await again.stop();
  await subscriber.stop();
  await removeDir(broker.dir);
});

test('a trigger that cannot be served says why and keeps its place; the others are served', async () => {
  const { brokers, stop } = await startBrokers();
  const bad = triggerTo('http://no url/', { name: 'bad' });
  const good = triggerTo('http://127.0.0.1:1/', { name: 'good' });
  const waiting = triggerTo(undefined, { name: 'bad' });
  await brokers.set({ brokers: [configOf('b')], triggers: [waiting] });
  const runtime = brokers.find('default', 'b');
  assert.ok(!(runtime instanceof KittiwakeError));
  const event = { attributes: { specversion: '1.0', id: '1', source: '/s', type: 't' } };
  await runtime.accept({ event, headers: [] });
  await brokers.set({ brokers: [configOf('b')], triggers: [bad, good] });
  assert.equal(whyNot(brokers, 'b'), undefined);
  assert.match(brokers.subscribed(bad)?.error ?? '', /Invalid URL/);
  assert.deepEqual(brokers.subscribed(good), { uid: good.uid });
  await brokers.set({ brokers: [configOf('b')], triggers: [waiting, good] });
  assert.deepEqual(brokers.subscribed(bad), { uid: bad.uid });
  const backlog = (await brokers.backlogs()).find(({ trigger }) => trigger === 'default/bad');
  assert.equal(backlog?.events, 1);
  await stop();
});

test('what was last known may be unreadable, folders not writable: the process starts all the same', async () => {
  for (const text of ['{', '{"format":1,"brokers":[null,{"name":7}],"triggers":[null]}', 'null']) {
    const dir = await testDir();
    await writeFile(join(dir, 'known.json'), text);
    const { brokers, stop } = await startBrokers({ dir });
    await brokers.restore();
    await brokers.set({ brokers: [configOf('b')], triggers: [] });
    assert.equal(whyNot(brokers, 'b'), undefined, text);
    await stop();
  }
  const dir = await testDir();
  await writeFile(join(dir, 'logs'), 'not a folder');
  await mkdir(join(dir, 'known.json'));
  const { brokers, stop } = await startBrokers({ dir });
  await brokers.restore();
  await brokers.set({ brokers: [configOf('b')], triggers: [] });
  assert.match(whyNot(brokers, 'b') ?? '', /^503 .*(EEXIST|ENOTDIR)/);
  await rm(join(dir, 'logs'));
  await until(() => whyNot(brokers, 'b') === undefined);
  await stop();
});

test('a broker that ended the process twice is set aside until it is released; the others are served', async () => {
  const quarantine = new Quarantine({ setAside: ['broker default/bad'] });
  const { brokers, stop } = await startBrokers({ quarantine });
  await brokers.set({ brokers: [configOf('bad'), configOf('good')], triggers: [] });
  assert.equal(whyNot(brokers, 'good'), undefined);
  assert.match(whyNot(brokers, 'bad') ?? '', /^503 .*"broker default\/bad" is set aside.*kittiwake release/);
  quarantine.update([]);
  await until(() => whyNot(brokers, 'bad') === undefined);
  await stop();
});
