import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtualClock } from '../../lib/virtual-clock.ts';
import type { CloudEvent } from '../cloudevents/event.ts';
import {
  type Answer,
  delivery,
  hastyClock,
  removeDir,
  startSubscriber,
  startTestBroker,
  triggerTo,
  until,
} from './testing/fixture.ts';

const idOf = ({ event }: { event: CloudEvent }) => event.attributes.id;
const replyHeaders = { 'ce-specversion': '1.0', 'ce-id': 'r', 'ce-source': '/r', 'ce-type': 'replied' };

test('an accepted event reaches its subscriber with its data, its extensions and Knative headers', async () => {
  const subscriber = await startSubscriber();
  const broker = await startTestBroker([triggerTo(subscriber.uri)]);
  const { status } = await broker.post({ subject: 'Euro%20%E2%82%AC', myext: '7' }, '{"n":12345678901234567890}');
  assert.equal(status, 202);
  await until(() => subscriber.received.length === 1);
  const [received] = subscriber.received;
  assert.equal(received?.body.toString(), '{"n":12345678901234567890}');
  assert.equal(received?.event.attributes.subject, 'Euro €');
  assert.equal(received?.event.attributes.myext, '7');
  assert.equal(received?.headers.prefer, 'reply');
  assert.equal(received?.headers['kn-namespace'], 'default');
  assert.match(String(received?.headers.traceparent), /^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$/);
  assert.equal(received?.headers['ce-knativebrokerttl'], undefined);
  assert.ok(received?.headers['ce-knativearrivaltime']);
  await broker.stop();
  await subscriber.stop();
  await removeDir(broker.dir);
});

test('a reply goes back into the broker, in the same trace, and to the triggers that want it', async () => {
  const asked = await startSubscriber(() => ({ headers: replyHeaders, body: '' }));
  const told = await startSubscriber();
  const broker = await startTestBroker([
    triggerTo(asked.uri, { name: 'ask', filter: { filters: [{ exact: { type: 'asked' } }] } }),
    triggerTo(told.uri, { name: 'tell', filter: { filters: [{ prefix: { type: 'repl' } }] } }),
  ]);
  await broker.post({ type: 'asked' });
  await until(() => told.received.length === 1);
  assert.equal(asked.received.length, 1);
  assert.equal(told.received[0]?.event.attributes.type, 'replied');
  const traceOf = (text: unknown) => String(text).slice(3, 35);
  assert.equal(traceOf(told.received[0]?.headers.traceparent), traceOf(asked.received[0]?.headers.traceparent));
  await broker.stop();
  await Promise.all([asked.stop(), told.stop()]);
  await removeDir(broker.dir);
});

test('replies that go round in a loop end, and the last event goes to the dead letter sink', async () => {
  const echo = await startSubscriber(({ event }) => ({
    headers: { ...replyHeaders, 'ce-id': `${event.attributes.id}+` },
  }));
  const letters = await startSubscriber();
  const broker = await startTestBroker([triggerTo(echo.uri, { deadLetterSink: { uri: letters.uri } })]);
  await broker.post({ knativebrokerttl: '6' });
  await until(() => letters.received.length === 1);
  assert.equal(echo.received.length, 5);
  assert.equal(letters.received[0]?.event.attributes.knativeerrorcode, '400');
  await broker.stop();
  await Promise.all([echo.stop(), letters.stop()]);
  await removeDir(broker.dir);
});

test('a refused event is tried again after growing delays, and then goes to the dead letter sink', async () => {
  const { clock, waits } = hastyClock();
  const failing = await startSubscriber(() => ({ status: 503, body: 'out of feathers' }));
  const letters = await startSubscriber();
  const trigger = triggerTo(failing.uri, {
    deadLetterSink: { uri: letters.uri },
    delivery: { ...delivery, retries: 3, delayMs: 200, delayMaxMs: 1e6 },
  });
  const broker = await startTestBroker([trigger], { clock });
  await broker.post({ id: 'lost' }, '{"a":1}');
  await until(() => letters.received.length === 1);
  assert.equal(failing.received.length, 4);
  assert.deepEqual(waits, [200, 400, 800]);
  const { attributes, data } = letters.received[0]?.event ?? { attributes: {} };
  assert.equal(attributes.id, 'lost');
  assert.equal(attributes.knativeerrordest, failing.uri);
  assert.equal(attributes.knativeerrorcode, '503');
  assert.equal(Buffer.from(String(attributes.knativeerrordata), 'base64').toString(), 'out of feathers');
  assert.equal(data?.toString(), '{"a":1}');
  await broker.stop();
  await Promise.all([failing.stop(), letters.stop()]);
  await removeDir(broker.dir);
});

test('Retry-After is honoured when it asks for longer than the backoff', async () => {
  const { clock, waits } = hastyClock();
  const subscriber = await startSubscriber(
    (_, count): Answer => (count === 1 ? { status: 429, headers: { 'retry-after': '7' } } : {}),
  );
  const broker = await startTestBroker([triggerTo(subscriber.uri, { delivery: { ...delivery, retries: 1 } })], {
    clock,
  });
  await broker.post();
  await until(() => subscriber.received.length === 2);
  assert.deepEqual(waits, [7000]);
  await broker.stop();
  await subscriber.stop();
  await removeDir(broker.dir);
});

test('an event that the dead letter sink refuses is kept until it takes it', async () => {
  const { clock, waits } = hastyClock();
  const failing = await startSubscriber(() => ({ status: 400 }));
  const letters = await startSubscriber((_, count) => ({ status: count < 6 ? 403 : 200 }));
  const trigger = triggerTo(failing.uri, { deadLetterSink: { uri: letters.uri } });
  const broker = await startTestBroker([trigger], { clock });
  await broker.post({ id: 'kept' });
  await until(() => letters.received.length === 6);
  assert.equal(failing.received.length, 1);
  assert.deepEqual(waits, [1000, 1000, 1000, 1000, 1000]);
  await broker.stop();
  await Promise.all([failing.stop(), letters.stop()]);
  await removeDir(broker.dir);
});

test('a subscriber that never answers is given up after its timeout, as code 500', async () => {
  const silent = await startSubscriber(() => new Promise(() => {}));
  const letters = await startSubscriber();
  const trigger = triggerTo(silent.uri, {
    deadLetterSink: { uri: letters.uri },
    delivery: { ...delivery, timeoutMs: 20 },
  });
  const broker = await startTestBroker([trigger]);
  await broker.post();
  await until(() => letters.received.length === 1);
  const { attributes } = letters.received[0]?.event ?? { attributes: {} };
  assert.equal(attributes.knativeerrorcode, '500');
  assert.match(Buffer.from(String(attributes.knativeerrordata), 'base64').toString(), /no reply within 20 ms/);
  await broker.stop();
  await Promise.all([silent.stop(), letters.stop()]);
  await removeDir(broker.dir);
});

test('deliveries in flight keep to the limit of a trigger, and one that waits for a retry is not one', async () => {
  let inFlight = 0;
  let most = 0;
  const gates: (() => void)[] = [];
  const subscriber = await startSubscriber(async ({ event }) => {
    if (event.attributes.id === 'poison') return { status: 500 };
    most = Math.max(most, ++inFlight);
    await new Promise<void>((resolve) => gates.push(resolve));
    inFlight--;
    return {};
  });
  const trigger = triggerTo(subscriber.uri, {
    delivery: { ...delivery, retries: 5, delayMs: 60_000, delayMaxMs: 1e9 },
  });
  const broker = await startTestBroker([trigger], { limits: { inFlightMax: 2 }, clock: new VirtualClock() });
  await broker.post({ id: 'poison' });
  for (let i = 0; i < 6; i++) await broker.post();
  for (let done = 0; done < 6; done++) {
    await until(() => gates.length > 0);
    gates.shift()?.();
  }
  await until(() => inFlight === 0 && subscriber.received.length === 7);
  assert.equal(most, 2);
  await broker.stop();
  await subscriber.stop();
  await removeDir(broker.dir);
});

test('a trigger whose subscriber is not known keeps its place', async () => {
  const waiting = await startTestBroker([triggerTo(undefined)]);
  await waiting.post({ id: 'early' });
  await waiting.stop();
  const subscriber = await startSubscriber();
  const broker = await startTestBroker([triggerTo(subscriber.uri)], { dir: waiting.dir });
  await until(() => subscriber.received.length === 1);
  assert.equal(subscriber.received.map(idOf).join(), 'early');
  await broker.stop();
  await subscriber.stop();
  await removeDir(broker.dir);
});

test('a restart neither loses nor repeats what is done', async () => {
  const subscriber = await startSubscriber(({ event }) => ({ status: event.attributes.id === '2' ? 500 : 200 }));
  const trigger = triggerTo(subscriber.uri, { delivery: { ...delivery, retries: 9, delayMs: 60_000 } });
  const first = await startTestBroker([trigger]);
  for (let i = 0; i < 4; i++) await first.post();
  await until(() => subscriber.received.length === 4);
  await first.stop();
  const second = await startTestBroker([trigger], { dir: first.dir });
  await until(() => subscriber.received.length === 5);
  assert.equal(subscriber.received.map(idOf).toSorted().join(), '1,2,2,3,4');
  await second.stop();
  await subscriber.stop();
  await removeDir(first.dir);
});
