/** Whatever goes wrong with one event is a failed delivery of that event: others go on, and so does the process. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { DatabaseSync } from 'node:sqlite';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { Metrics } from '../../observe/metrics.ts';
import type { NewEvent } from '../backends/event-log.ts';
import type { Attributes } from '../cloudevents/event.ts';
import { passThrough } from '../pass-through.ts';
import {
  appendPastTheDoor,
  delivery,
  removeDir,
  startSubscriber,
  startTestBroker,
  testDir,
  triggerTo,
  until,
} from './testing/fixture.ts';

const base = { specversion: '1.0', source: '/s', type: 't' };
const stored = (id: string, attributes: object = {}, headers: string[] = []): NewEvent => ({
  event: { attributes: { ...base, id, ...attributes } as Attributes, data: Buffer.from('x') },
  headers,
});

test('a content type that no header may hold is refused at the door, in both modes', async () => {
  const broker = await startTestBroker([]);
  const post = (headers: Record<string, string>, body: string) =>
    fetch(`${broker.url}/default/b`, { method: 'POST', headers, body });
  const json = JSON.stringify({ ...base, id: '1', datacontenttype: 'text/plain; x=€', data: 'x' });
  const ce = { 'ce-specversion': '1.0', 'ce-id': '1', 'ce-source': '/a', 'ce-type': 't' };
  for (const answer of [
    await post({ 'content-type': 'application/cloudevents+json' }, json),
    await post({ ...ce, 'content-type': 'text/plain; x=\u00e9' }, 'x'),
    await post({ ...ce, 'content-type': 'text/plain; x' }, 'x'),
  ]) {
    assert.equal(answer.status, 400);
    assert.match(await answer.text(), /^EVENT_INVALID: .*"datacontenttype" is "text\/plain; x.*must be a media type/);
  }
  await broker.stop();
  await removeDir(broker.dir);
});

test('a reply that is no event, or cannot be one, is a failed delivery of the event that it answers', async () => {
  const replies = [
    JSON.stringify({ ...base, id: 'r', datacontenttype: 'text/plain; x=€', data: 'x' }),
    JSON.stringify({ ...base, id: 'r', datacontenttype: 'text/plain\r\nx: y', data: 'x' }),
    '{"specversion":"1.0","id":"r","source":"/s","type":"t","ext":'.padEnd(100_000, '['),
    'no JSON',
  ];
  const worker = await startSubscriber((_, count) => ({
    headers: { 'content-type': 'application/cloudevents+json' },
    body: replies[count - 1] ?? '',
  }));
  const letters = await startSubscriber();
  const broker = await startTestBroker([triggerTo(worker.uri, { deadLetterSink: { uri: letters.uri } })]);
  for (const _ of replies) await broker.post();
  await until(() => letters.received.length === replies.length);
  for (const { event } of letters.received) assert.equal(event.attributes.knativeerrorcode, '502');
  assert.equal(worker.received.length, replies.length);
  await broker.stop();
  await Promise.all([worker.stop(), letters.stop()]);
  await removeDir(broker.dir);
});

test('events in the log that cannot be filtered, encoded or read end nothing: the others are delivered', async () => {
  const dir = await testDir();
  const metrics = new Metrics('broker');
  const subscriber = await startTolerant();
  const other = await startTolerant();
  const triggers = [
    triggerTo(subscriber.uri),
    triggerTo(other.uri, {
      name: 'filtering',
      filter: { filters: [{ not: { exact: { ext: 'nothing' } } }] },
      deadLetterSink: { uri: other.uri },
      delivery: { ...delivery, retries: 2 },
    }),
  ];
  const path = await appendPastTheDoor(dir, triggers, [
    stored('first'),
    stored('type', { datacontenttype: 'text/plain; x=€' }),
    stored('smuggling', { datacontenttype: 'text/plain\r\nx: y' }),
    stored('name', { 'Bad\r\nName': 'x' }),
    stored('surrogate', { ext: '\ud800' }),
    stored('object', { ext: { toString: 1 } }),
    stored('header', {}, ['x-request-id', 'a\r\nb', 'traceparent', 'x']),
    stored('header name', {}, ['x y', 'z']),
    stored('damaged'),
    stored('last'),
  ]);
  const db = new DatabaseSync(path);
  db.exec(`UPDATE events SET head = '[' WHERE head LIKE '%damaged%'`);
  db.close();
  const broker = await startTestBroker(triggers, { dir, metrics });
  const sendable = ['first', 'type', 'smuggling', 'name', 'surrogate', 'last', 'after'].toSorted();
  await broker.post({ id: 'after' });
  await until(() => subscriber.ids.length >= sendable.length && other.ids.length >= sendable.length);
  const counted = await metricsText(metrics, /trigger="default\/filtering",result="dropped",role="broker"} 4/);
  assert.deepEqual(subscriber.ids.toSorted(), sendable);
  assert.deepEqual(other.ids.toSorted(), sendable);
  assert.match(counted, /trigger="default\/t",result="dropped",role="broker"} 4/);
  assert.match(counted, /kittiwake_broker_backlog\{broker="default\/b",trigger="default\/t",role="broker"} 0/);
  await broker.stop();
  await Promise.all([subscriber.stop(), other.stop()]);
  await removeDir(dir);
});

test('an event whose attributes are too large for headers is delivered structured', async () => {
  const subscriber = await startSubscriber();
  const broker = await startTestBroker([triggerTo(subscriber.uri)]);
  const event = { ...base, id: '1', subject: '€'.repeat(20_000), data: { a: 1 } };
  const body = JSON.stringify(event);
  const headers = { 'content-type': 'application/cloudevents+json' };
  const answer = await fetch(`${broker.url}/default/b`, { method: 'POST', headers, body });
  assert.equal(answer.status, 202);
  await until(() => subscriber.received.length === 1);
  assert.equal(subscriber.received[0]?.headers['content-type'], 'application/cloudevents+json; charset=utf-8');
  assert.equal(subscriber.received[0]?.event.attributes.subject, event.subject);
  assert.equal(subscriber.received[0]?.event.data?.toString(), '{"a":1}');
  await broker.stop();
  await subscriber.stop();
  await removeDir(broker.dir);
});

test('headers that travel along leave room for the event', () => {
  const own = ['X-Request-Id', '7', 'Knative-A', 'x'.repeat(3000), 'x-b3-b', 'x'.repeat(3000), 'tracestate', 'a=b'];
  const passed = passThrough(own);
  assert.deepEqual(passed.slice(0, 4), ['x-request-id', '7', 'knative-a', 'x'.repeat(3000)]);
  assert.equal(passed[4], 'traceparent');
  assert.equal(passed.length, 6);
});

/** A subscriber that takes events which no specification allows; it keeps their ids. */
async function startTolerant() {
  const ids: string[] = [];
  const server = createServer(async (request, response) => {
    const body = await text(request);
    ids.push(String(request.headers['ce-id'] ?? JSON.parse(body).id));
    response.end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    ids,
    uri: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    async stop() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** The text of the metrics once it matches. */
async function metricsText(metrics: Metrics, expected: RegExp): Promise<string> {
  const endMs = performance.now() + 5000;
  for (;;) {
    const found = await metrics.text();
    if (expected.test(found)) return found;
    assert.ok(performance.now() < endMs, `${expected} is not in\n${found}`);
  }
}
