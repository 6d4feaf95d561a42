import { test } from 'node:test';
import { Metrics } from '../../observe/metrics.ts';
import { removeDir, startSubscriber, startTestBroker, triggerTo, until } from './testing/fixture.ts';

test('the broker counts what it accepts, refuses, delivers and drops, and how far each trigger is behind', async () => {
  const metrics = new Metrics('broker');
  const subscriber = await startSubscriber(({ event }) => ({ status: event.attributes.id === 'bad' ? 400 : 200 }));
  const broker = await startTestBroker([triggerTo(subscriber.uri), triggerTo(undefined, { name: 'waiting' })], {
    metrics,
  });
  await broker.post({ id: 'good' });
  await broker.post({ id: 'bad' });
  await broker.post({ specversion: '2.0' });
  await until(() => subscriber.received.length === 2);
  const lines = async () => (await metrics.text()).split('\n');
  const expected = [
    'kittiwake_broker_accepted_total{broker="default/b",role="broker"} 2',
    'kittiwake_broker_refused_total{code="EVENT_INVALID",role="broker"} 1',
    'kittiwake_broker_deliveries_total{broker="default/b",trigger="default/t",result="delivered",role="broker"} 1',
    'kittiwake_broker_deliveries_total{broker="default/b",trigger="default/t",result="dropped",role="broker"} 1',
    'kittiwake_broker_backlog{broker="default/b",trigger="default/t",role="broker"} 0',
    'kittiwake_broker_backlog{broker="default/b",trigger="default/waiting",role="broker"} 2',
  ];
  let found: string[] = [];
  let isComplete = false;
  const look = async () => {
    found = await lines();
    isComplete = expected.every((line) => found.includes(line));
  };
  await until(() => {
    void look();
    return isComplete;
  });
  await broker.stop();
  await subscriber.stop();
  await removeDir(broker.dir);
});
