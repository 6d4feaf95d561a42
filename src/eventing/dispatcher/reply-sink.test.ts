/** One dispatcher for all that subscribe: only where its replies go differs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Quarantine } from '../../lib/quarantine.ts';
import { silentLogger } from '../../observe/log.ts';
import type { NewEvent } from '../backends/event-log.ts';
import {
  type Answer,
  delivery,
  hastyClock,
  logsIn,
  removeDir,
  startSubscriber,
  testDir,
  triggerTo,
  until,
} from '../broker/testing/fixture.ts';
import { Poster, targetOf } from '../poster.ts';
import { Dispatcher } from './dispatcher.ts';
import type { ReplySink } from './reply-sink.ts';
import { countedDeliveries } from './testing/dispatching.ts';
import { replyToUrl } from './testing/reply-to-url.ts';

const event: NewEvent = {
  event: { attributes: { specversion: '1.0', id: '1', source: '/s', type: 't' } },
  headers: ['traceparent', `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`],
};
const replyHeaders = { 'ce-specversion': '1.0', 'ce-id': 'r', 'ce-source': '/r', 'ce-type': 'replied' };

/** Delivers one event of a channel to `worker` and sends its replies to `reply`; resolves when it is done with it. */
async function deliver(options: { worker: string; letters?: string; retries?: number; reply?: ReplySink }) {
  const { worker, letters, retries = 0, reply } = options;
  const dir = await testDir();
  const { clock } = hastyClock();
  const onFailure = (error: unknown) => assert.fail(String(error));
  const log = await logsIn(dir, { clock }).open(
    { namespace: 'default', name: 'channel' },
    { log: silentLogger, onFailure },
  );
  const { counts, metrics } = countedDeliveries();
  const poster = new Poster();
  const dispatcher = new Dispatcher({
    subscription: await log.subscribe('default/subscription', 'uid'),
    ...(reply && { reply }),
    origin: 'default/channel',
    config: triggerTo(worker, {
      delivery: { ...delivery, retries },
      ...(letters !== undefined && { deadLetterSink: { uri: letters } }),
    }),
    matches: () => true,
    quarantine: new Quarantine(),
    poster,
    gatewayUrl: undefined,
    inFlightMax: 2,
    replyBytesMax: 1000,
    clock,
    log: silentLogger,
    metrics,
  });
  let appended = 0;
  const append = log.append.bind(log);
  log.append = (...args) => append(...args).finally(() => appended++);
  await log.append(event);
  await until(async () => (await dispatcher.backlog()) === 0);
  await dispatcher.stop(0);
  await log.close();
  poster.close();
  await removeDir(dir);
  return { counts, appended };
}

const to = (uri: string) => replyToUrl(() => targetOf(uri, { gatewayUrl: undefined }));

test('a reply goes to another URL, as the subscription of a channel says, in the trace of its cause', async () => {
  const worker = await startSubscriber(() => ({ headers: { ...replyHeaders, 'x-request-id': '7' }, body: 'done' }));
  // What it answers in turn is nobody's business.
  const next = await startSubscriber(() => ({ headers: { 'content-type': 'text/plain' }, body: 'thanks' }));
  const told: unknown[] = [];
  const reply: ReplySink = async (...args) => {
    const failure = await to(next.uri)(...args);
    told.push(failure);
    return failure;
  };
  const { counts, appended } = await deliver({ worker: worker.uri, reply });
  assert.deepEqual(told, [undefined]);
  assert.deepEqual(counts, { delivered: 1, retried: 0, deadLettered: 0, dropped: 0 });
  const [received] = next.received;
  assert.deepEqual([next.received.length, received?.event.attributes.id, received?.body.toString()], [1, 'r', 'done']);
  assert.match(String(received?.headers.traceparent), new RegExp(`^00-${'a'.repeat(32)}-`));
  assert.deepEqual([received?.headers['x-request-id'], received?.headers.prefer], ['7', undefined]);
  assert.equal(received?.event.attributes.knativebrokerttl, undefined);
  assert.equal(worker.received[0]?.headers.prefer, 'reply');
  assert.equal(appended, 1);
  await Promise.all([worker.stop(), next.stop()]);
});

test('a reply that its URL does not take is a failed delivery, which is tried again or a dead letter', async () => {
  const answers: Answer[] = [{ status: 503 }, {}];
  const worker = await startSubscriber(() => ({ headers: replyHeaders }));
  const next = await startSubscriber(() => answers.shift() ?? { status: 400, body: 'no' });
  const letters = await startSubscriber();
  const options = { worker: worker.uri, letters: letters.uri, retries: 3, reply: to(next.uri) };
  const first = await deliver(options);
  assert.deepEqual(first.counts, { delivered: 1, retried: 1, deadLettered: 0, dropped: 0 });
  const second = await deliver(options);
  assert.deepEqual(second.counts, { delivered: 0, retried: 0, deadLettered: 1, dropped: 0 });
  const { attributes } = letters.received[0]?.event ?? { attributes: {} };
  assert.deepEqual([attributes.id, attributes.knativeerrorcode], ['1', '400']);
  assert.equal(worker.received.length, 3);
  await Promise.all([worker.stop(), next.stop(), letters.stop()]);
});

test('without a destination for replies nobody is asked for one, and any body with a 2xx is fine', async () => {
  for (const answer of [
    { headers: replyHeaders, body: 'done' },
    { headers: { 'content-type': 'text/plain' }, body: 'thanks' },
    { headers: { 'content-type': 'application/cloudevents+json' }, body: 'no JSON' },
  ]) {
    const worker = await startSubscriber(() => answer);
    const { counts, appended } = await deliver({ worker: worker.uri });
    assert.deepEqual(counts, { delivered: 1, retried: 0, deadLettered: 0, dropped: 0 });
    assert.equal(worker.received[0]?.headers.prefer, undefined);
    assert.equal(appended, 1);
    await worker.stop();
  }
});
