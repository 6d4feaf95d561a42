import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { openWorld, type World } from '../../../test/world.ts';
import { type Broker, BrokerKind } from '../../api/eventing/broker.ts';
import { type Trigger, TriggerKind } from '../../api/eventing/trigger.ts';
import type { Condition } from '../../api/meta.ts';
import { type PingSource, PingSourceKind } from '../../api/sources/ping-source.ts';
import { defineOctopodes, type Octopus, OctopusKind, octopus } from '../../cluster/apiserver/testing/octopodes.ts';
import { systemClock } from '../../lib/clock.ts';
import { Quarantine } from '../../lib/quarantine.ts';
import { silentLogger } from '../../observe/log.ts';
import { type RunningBroker, startBroker } from '../broker/index.ts';
import { logsIn, removeDir, startSubscriber, testDir, until } from '../broker/testing/fixture.ts';
import { eventingControllers } from '../index.ts';
import { sendEvent } from '../send.ts';

describe('the controllers', () => {
  let world: World;
  let broker: RunningBroker;
  let dir: string;
  const quarantine = new Quarantine();

  const ingressUrl = 'http://127.0.0.1:18081';
  const meta = (name: string) => ({ namespace: 'default', name });
  const ready = (object: { status?: { conditions?: Condition[] } } | undefined, type = 'Ready') =>
    object?.status?.conditions?.find((condition) => condition.type === type);

  before(async () => {
    world = await openWorld({ controllers: eventingControllers({ ingressUrl }) });
    dir = await testDir();
    const options = { client: world.client, port: 0, clock: systemClock, log: silentLogger };
    broker = await startBroker({ ...options, dir, backend: logsIn(dir), quarantine });
  });

  after(async () => {
    await broker.stop();
    await world.stop();
    await removeDir(dir);
  });

  const newBroker = (name: string, spec: Broker['spec'] = {}): Promise<Broker> =>
    world.client.create(BrokerKind, {
      apiVersion: 'eventing.knative.dev/v1',
      kind: 'Broker',
      metadata: meta(name),
      spec,
    });

  const newTrigger = (name: string, spec: Trigger['spec']): Promise<Trigger> =>
    world.client.create(TriggerKind, {
      apiVersion: 'eventing.knative.dev/v1',
      kind: 'Trigger',
      metadata: meta(name),
      spec,
    });

  const event = (id: string) => ({ attributes: { specversion: '1.0', id, source: '/s', type: 't' } });

  test('a broker is Ready at its address once its log is open, with the defaults of Knative', async () => {
    await newBroker('first');
    const found = await world.until(BrokerKind, meta('first'), (b) => ready(b)?.status === 'True');
    assert.equal(found?.status?.address?.url, `${ingressUrl}/default/first`);
    assert.deepEqual(found?.spec.delivery, { retry: 10, backoffPolicy: 'exponential', backoffDelay: 'PT0.2S' });
    assert.equal(found?.metadata.annotations?.['eventing.knative.dev/broker.class'], 'MTChannelBasedBroker');
    await sendEvent(`${broker.url}/default/first`, event('1'));
  });

  test('an event sent once a trigger is Ready reaches it, one sent before there was a trigger does not', async () => {
    await newBroker('second');
    await world.until(BrokerKind, meta('second'), (b) => ready(b)?.status === 'True');
    await sendEvent(`${broker.url}/default/second`, event('before'));
    const subscriber = await startSubscriber();
    await newTrigger('second', { broker: 'second', subscriber: { uri: subscriber.uri } });
    await world.until(TriggerKind, meta('second'), (t) => ready(t)?.status === 'True');
    await sendEvent(`${broker.url}/default/second`, event('after'));
    await until(() => subscriber.received.length === 1);
    assert.equal(subscriber.received[0]?.event.attributes.id, 'after');

    await world.client.delete(TriggerKind, meta('second'));
    await world.until(TriggerKind, meta('second'), (t) => t === undefined);
    await sendEvent(`${broker.url}/default/second`, event('between'));
    await newTrigger('second', { broker: 'second', subscriber: { uri: subscriber.uri } });
    await world.until(TriggerKind, meta('second'), (t) => ready(t)?.status === 'True');
    await sendEvent(`${broker.url}/default/second`, event('again'));
    await until(() => subscriber.received.length === 2);
    assert.equal(subscriber.received[1]?.event.attributes.id, 'again');
    await subscriber.stop();
  });

  test('a trigger says which of its events are set aside and how to give them back, and stays Ready', async () => {
    await newBroker('aside');
    const subscriber = await startSubscriber();
    await newTrigger('aside', { broker: 'aside', subscriber: { uri: subscriber.uri } });
    await world.until(TriggerKind, meta('aside'), (t) => ready(t)?.status === 'True');
    quarantine.update(['event default/aside aside /s poison']);
    await sendEvent(`${broker.url}/default/aside`, event('poison'));
    await sendEvent(`${broker.url}/default/aside`, event('good'));
    const found = await world.until(TriggerKind, meta('aside'), (t) => ready(t, 'EventsDelivered')?.status === 'False');
    assert.match(
      ready(found, 'EventsDelivered')?.message ?? '',
      /\(1\).*kittiwake release broker 'event default\/aside aside \/s poison'$/,
    );
    assert.equal(ready(found)?.status, 'True');
    await until(() => subscriber.received.length === 1);
    assert.equal(subscriber.received[0]?.event.attributes.id, 'good');

    quarantine.update([]);
    await until(() => subscriber.received.length === 2);
    assert.equal(subscriber.received[1]?.event.attributes.id, 'poison');
    await world.until(TriggerKind, meta('aside'), (t) => ready(t, 'EventsDelivered')?.status === 'True');
    await subscriber.stop();
  });

  test('a trigger says which part of it is missing', async () => {
    await newTrigger('orphan', { broker: 'nowhere', subscriber: { uri: 'http://127.0.0.1:1/' } });
    const orphan = await world.until(TriggerKind, meta('orphan'), (t) => ready(t)?.status === 'False');
    assert.equal(ready(orphan)?.reason, 'BrokerDoesNotExist');

    await newBroker('third');
    const ref = { apiVersion: 'serving.knative.dev/v1', kind: 'Service', name: 'missing' };
    await newTrigger('unresolved', { broker: 'third', subscriber: { ref } });
    const unresolved = await world.until(
      TriggerKind,
      meta('unresolved'),
      (t) => ready(t, 'SubscriberResolved')?.status === 'False',
    );
    assert.match(ready(unresolved, 'SubscriberResolved')?.message ?? '', /Service "missing" in namespace "default"/);

    await newTrigger('sql', {
      broker: 'third',
      subscriber: { uri: 'http://127.0.0.1:1/' },
      filters: [{ cesql: "type = 'x'" }],
    });
    const sql = await world.until(TriggerKind, meta('sql'), (t) => ready(t)?.status === 'False');
    assert.equal(ready(sql)?.reason, 'FilterNotSupported');
  });

  test('a trigger resolves a broker, a relative URI, and the dead letter sink of its broker', async () => {
    await newBroker('fourth', { delivery: { deadLetterSink: { uri: 'http://dead.example/' } } });
    const ref = { apiVersion: 'eventing.knative.dev/v1', kind: 'Broker', name: 'fourth' };
    await newTrigger('fourth', {
      broker: 'fourth',
      subscriber: { ref, uri: '/default/other' },
      delivery: { retry: 1 },
    });
    const trigger = await world.until(TriggerKind, meta('fourth'), (t) => ready(t)?.status === 'True');
    assert.equal(trigger?.status?.subscriberUri, `${ingressUrl}/default/other`);
    assert.equal(trigger?.status?.deadLetterSinkUri, 'http://dead.example/');
    assert.equal(trigger?.metadata.labels?.['eventing.knative.dev/broker'], 'fourth');
  });

  test("a trigger follows the address of a subscriber of somebody else's kind, which comes later", async () => {
    const ref = { apiVersion: 'sea.example.dev/v1', kind: 'Octopus', name: 'post' };
    await newBroker('post');
    await newTrigger('post', { broker: 'post', subscriber: { ref } });
    const resolved = (uri: string | undefined) =>
      world.until(TriggerKind, meta('post'), (t) => {
        const status = ready(t, 'SubscriberResolved')?.status;
        return t?.status?.subscriberUri === uri && status === (uri ? 'True' : 'False');
      });
    await resolved(undefined);
    await defineOctopodes(world.client);
    const at = (url: string): Octopus => ({ ...octopus('post'), status: { address: { url } } });
    const stored = await world.client.create(OctopusKind, at('http://first.example.dev/'));
    await resolved('http://first.example.dev/');
    await world.client.update(OctopusKind, { ...at('http://second.example.dev/'), metadata: stored.metadata });
    await resolved('http://second.example.dev/');
    await world.client.delete(OctopusKind, meta('post'));
    await resolved(undefined);
  });

  test('a ping source sends its data to its sink when its schedule says', async () => {
    const subscriber = await startSubscriber();
    const source: PingSource = {
      apiVersion: 'sources.knative.dev/v1',
      kind: 'PingSource',
      metadata: meta('ping'),
      spec: { schedule: '* * * * * *', data: '{"ping":1}', sink: { uri: subscriber.uri } },
    };
    await world.client.create(PingSourceKind, source);
    const found = await world.until(PingSourceKind, meta('ping'), (s) => ready(s)?.status === 'True');
    assert.equal(found?.status?.sinkUri, subscriber.uri);
    await until(() => subscriber.received.length > 0);
    const { attributes, data } = subscriber.received[0]?.event ?? { attributes: {} };
    assert.equal(attributes.type, 'dev.knative.sources.ping');
    assert.equal(attributes.source, '/apis/v1/namespaces/default/pingsources/ping');
    assert.equal(attributes.datacontenttype, 'application/json');
    assert.equal(data?.toString(), '{"ping":1}');
    await world.client.delete(PingSourceKind, meta('ping'));
    await subscriber.stop();
  });

  test('what cannot be is refused with the field, the value and the remedy', async () => {
    const uri = { uri: 'http://s.example/' };
    const table: [create: () => Promise<unknown>, message: RegExp][] = [
      [() => newTrigger('bad', { subscriber: uri }), /spec\.broker: Required value/],
      [() => newTrigger('bad', { broker: 'b', subscriber: {} }), /spec\.subscriber: Required value/],
      [() => newTrigger('bad', { broker: 'b', subscriber: { uri: '/x' } }), /spec\.subscriber\.uri: .*"\/x".*absolute/],
      [
        () => newTrigger('bad', { broker: 'b', subscriber: uri, filter: { attributes: { 'My-Attr': 'x' } } }),
        /spec\.filter\.attributes: .*"My-Attr"/,
      ],
      [
        () => newTrigger('bad', { broker: 'b', subscriber: uri, filters: [{ exact: { type: '' } }] }),
        /spec\.filters\[0\]\.exact\.type: .*must be a string that is not empty/,
      ],
      [
        () =>
          newTrigger('bad', {
            broker: 'b',
            subscriber: uri,
            filters: [{ exact: { type: 'a' }, prefix: { type: 'a' } }],
          }),
        /spec\.filters\[0\]: .*holds 2 dialects \(exact, prefix\)/,
      ],
      [
        () => newTrigger('bad', { broker: 'b', subscriber: uri, filters: [{ all: [{ exact: { Type: 'a' } }] }] }),
        /spec\.filters\[0\]\.all\[0\]\.exact: .*"Type"/,
      ],
      [
        () => newTrigger('bad', { broker: 'b', subscriber: uri, delivery: { backoffDelay: '5s' } }),
        /spec\.delivery\.backoffDelay: .*"5s": must be an ISO 8601 duration/,
      ],
      [() => newBroker('bad', { delivery: { retry: -1 } }), /spec\.delivery\.retry: .*-1/],
      [() => newBroker('bad', { delivery: { timeout: 'PT0S' } }), /spec\.delivery\.timeout: .*longer than zero/],
    ];
    for (const [create, message] of table) await assert.rejects(create(), { code: 422, message });

    const old = await newTrigger('fixed', { broker: 'one', subscriber: uri });
    const moved = { ...old, spec: { ...old.spec, broker: 'two' } };
    await assert.rejects(world.client.update(TriggerKind, moved), /spec\.broker: .*cannot change from "one" to "two"/);
  });
});
