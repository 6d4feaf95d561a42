import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtualClock } from '../../../lib/virtual-clock.ts';
import { silentLogger } from '../../../observe/log.ts';
import { type CloudEvent, checkAttributes } from '../../cloudevents/event.ts';
import { RefusedError } from '../../send.ts';
import { type PingJob, PingSchedule, pingEvent } from './schedule.ts';

const job: PingJob = {
  namespace: 'default',
  name: 'p',
  uid: 'u',
  sinkUri: 'http://sink/',
  spec: { sink: {}, schedule: '0 2 * * *', timezone: 'Europe/Berlin' },
};

function start(send: (attempt: number) => void = () => {}) {
  const clock = new VirtualClock(Date.parse('2026-03-27T12:00:00Z'));
  const sent: { at: string; id: unknown }[] = [];
  const schedule = new PingSchedule({
    clock,
    log: silentLogger,
    async send(_uri: string, event: CloudEvent) {
      sent.push({ at: new Date(clock.now()).toISOString(), id: event.attributes.id });
      send(sent.length);
    },
  });
  return { clock, sent, schedule };
}

const hours = (count: number) => count * 3_600_000;
const times = (sent: { at: string }[]) => sent.map(({ at }) => at);

test('ticks come at the local time of the zone, one each, for days on end', async () => {
  const { clock, sent, schedule } = start();
  schedule.set(job);
  await clock.advance(hours(24 * 3));
  // On 29 March 2026 the hour from 2 to 3 does not exist in Berlin.
  assert.deepEqual(times(sent), ['2026-03-28T01:00:00.000Z', '2026-03-29T01:00:00.000Z', '2026-03-30T00:00:00.000Z']);
  schedule.stop();
});

test('a far tick comes once, though timers do not reach that far', async () => {
  const { clock, sent, schedule } = start();
  schedule.set({ ...job, spec: { sink: {}, schedule: '0 0 1 6 *' } });
  await clock.advance(hours(24 * 70));
  assert.deepEqual(times(sent), ['2026-06-01T00:00:00.000Z']);
  schedule.stop();
});

test('setting the same job again changes nothing, another schedule does, and removing ends it', async () => {
  const { clock, sent, schedule } = start();
  schedule.set(job);
  schedule.set(structuredClone(job));
  await clock.advance(hours(14));
  assert.equal(sent.length, 1);
  schedule.set({ ...job, spec: { sink: {}, schedule: '0 * * * *' } });
  await clock.advance(hours(2));
  assert.equal(sent.length, 3);
  schedule.remove('default/p');
  await clock.advance(hours(48));
  assert.equal(sent.length, 3);
});

test('a tick that the sink does not take is tried again five times, with the same id, and then lost', async () => {
  const { clock, sent, schedule } = start(() => {
    throw new Error('connection refused');
  });
  schedule.set(job);
  await clock.advance(hours(14));
  assert.equal(sent.length, 6);
  assert.deepEqual([...new Set(sent.map(({ id }) => id))], ['u-2026-03-28T01:00:00.000Z']);
  schedule.stop();
});

test('a tick that the sink refuses for good is not tried again', async () => {
  const { clock, sent, schedule } = start(() => {
    throw new RefusedError('no', 400);
  });
  schedule.set(job);
  await clock.advance(hours(14));
  assert.equal(sent.length, 1);
  schedule.stop();
});

test('the event of a tick has the data of the source, its type and its overrides', () => {
  const spec = { sink: {}, contentType: 'text/plain', dataBase64: 'aGk=', ceOverrides: { extensions: { team: 'x' } } };
  const { attributes, data } = pingEvent({ ...job, spec }, 0, 1000);
  assert.deepEqual(attributes, {
    specversion: '1.0',
    id: 'u-1970-01-01T00:00:00.000Z',
    type: 'dev.knative.sources.ping',
    source: '/apis/v1/namespaces/default/pingsources/p',
    time: '1970-01-01T00:00:01.000Z',
    datacontenttype: 'text/plain',
    team: 'x',
  });
  assert.equal(data?.toString(), 'hi');
});

test('what goes wrong with one tick, or one source, is a line in the log: the others go on', async () => {
  const lines: string[] = [];
  const log = { ...silentLogger, error: (_fields: object, message: string) => lines.push(message) };
  const clock = new VirtualClock(Date.parse('2026-03-27T12:00:00Z'));
  const sent: unknown[] = [];
  const send = async (_uri: string, event: CloudEvent) => {
    sent.push(event.attributes.type);
    if (event.attributes.ext) checkAttributes(event.attributes);
  };
  const schedule = new PingSchedule({ clock, log, send });
  const hourly = (name: string, spec: object) => ({ ...job, name, spec: { sink: {}, schedule: '0 * * * *', ...spec } });
  const unmakeable = hourly('a', { data: 7 });
  const noEvent = hourly('b', { ceOverrides: { extensions: { ext: 'a\u0000' } } });
  for (const one of [unmakeable, noEvent, hourly('c', {})]) schedule.set(one);
  assert.throws(() => schedule.set(hourly('d', { schedule: 'no cron' })));
  await clock.advance(hours(2));
  assert.deepEqual(lines.toSorted(), [
    'ping lost: it could not be made',
    'ping lost: it could not be made',
    'ping lost: the sink takes no event',
    'ping lost: the sink takes no event',
  ]);
  assert.equal(sent.length, 4);
  schedule.stop();
});

test('a sink that never answers does not make pings pile up', async () => {
  const clock = new VirtualClock(Date.parse('2026-03-27T12:00:00Z'));
  let asked = 0;
  const answers: (() => void)[] = [];
  const send = () => {
    asked++;
    return new Promise<void>((resolve) => answers.push(resolve));
  };
  const schedule = new PingSchedule({ clock, log: silentLogger, send });
  schedule.set({ ...job, spec: { sink: {}, schedule: '* * * * *' } });
  await clock.advance(hours(1));
  assert.equal(asked, 8);
  for (const answer of answers) answer();
  await clock.advance(hours(1));
  assert.equal(asked, 16);
  schedule.stop();
});
