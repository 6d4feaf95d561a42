import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Metrics } from '../observe/metrics.ts';
import type { RouteChange } from './routes/change.ts';
import {
  closing,
  host,
  ok,
  onHeads,
  routesOf,
  startHttpOrigin,
  startRawOrigin,
  startReplyOrigin,
  startTestGateway,
  statusOf,
  targetKey,
} from './testing/fixture.ts';
import { targetOf } from './testing/routes.ts';
import { ShiftingClock } from './testing/shifting-clock.ts';

/** From now on the host leads to revision `to`, with endpoints at `ports`, and nothing to revision `from`. */
function moved(from: number, to: number, ports: number[] = []): RouteChange {
  const keyOf = (number: number) => targetKey.replace('00001', `0000${number}`);
  const appendHeaders = { 'Knative-Serving-Revision': `hello-0000${to}` };
  const endpoints = ports.map((port) => ({ host: '127.0.0.1', port }));
  return {
    hosts: new Map([
      [host, [{ prefix: '/', headers: [], splits: [{ percent: 100, target: keyOf(to), appendHeaders }] }]],
    ]),
    targets: new Map([
      [keyOf(to), { ...targetOf(`hello-0000${to}`), endpoints }],
      [keyOf(from), undefined],
    ]),
  };
}

const gone: RouteChange = { hosts: new Map([[host, undefined]]), targets: new Map([[targetKey, undefined]]) };

describe('a request that waits when the last route to its revision goes', () => {
  it('goes where its host leads by then, as what that is called, and counts there', async (t) => {
    const heads: string[] = [];
    const origin = await startRawOrigin(t, (socket) =>
      onHeads(socket, (head) => {
        heads.push(head);
        socket.write(ok);
      }),
    );
    const metrics = new Metrics('gateway');
    const gateway = await startTestGateway(t, routesOf([]), { metrics });
    const client = gateway.request('GET /', closing);
    await gateway.report(({ queued }) => queued === 1);
    gateway.publish(moved(1, 2, [origin.port]));
    assert.equal(statusOf(await client.ended()), 200);
    assert.match(heads[0] ?? '', /\r\nKnative-Serving-Revision: hello-00002\r\n/);
    const text = await metrics.text();
    const countOf = (series: string) =>
      Number(
        text
          .split('\n')
          .find((line) => line.startsWith(`kittiwake_gateway_${series}`))
          ?.split(' ')
          .at(-1) ?? 0,
      );
    const labels = (revision: number) => `{namespace="default",revision="hello-0000${revision}"`;
    assert.equal(countOf(`requests_active${labels(1)}`), 0);
    assert.equal(countOf(`request_duration_seconds_count${labels(1)}`), 0);
    assert.equal(countOf(`requests_total${labels(2)},code_class="2xx"`), 1);
  });

  it('takes its body with it, also one that streams', async (t) => {
    const origin = await startHttpOrigin(t, (incoming, response) => {
      let length = 0;
      incoming.on('data', (bytes) => {
        length += bytes.length;
      });
      incoming.on('end', () => response.end(`${length} bytes`));
    });
    const gateway = await startTestGateway(t, routesOf([]));
    const whole = gateway.request('POST /', `Content-Length: 5\r\n${closing}`, 'whole');
    const streamed = gateway.request('POST /', `Content-Length: 9\r\n${closing}`, 'part');
    await gateway.report(({ queued }) => queued === 2);
    gateway.publish(moved(1, 2, [origin.port]));
    assert.match(await whole.ended(), /5 bytes/);
    assert.match(await streamed.send(' two.').ended(), /9 bytes/);
  });

  it('is answered 404 when its host leads nowhere any more, and the next request of its client is read', async (t) => {
    const gateway = await startTestGateway(t, routesOf([]));
    const client = gateway.request('GET /').request('GET /next', closing);
    await gateway.report(({ queued }) => queued === 1);
    gateway.publish(gone);
    const text = await client.ended();
    assert.deepEqual(
      [...text.matchAll(/HTTP\/1.1 (\d+)/g)].map(([, status]) => status),
      ['404', '404'],
    );
  });

  it('keeps its deadline, which runs from its arrival', async (t) => {
    const clock = new ShiftingClock();
    const gateway = await startTestGateway(t, routesOf([]), { clock });
    const client = gateway.request('GET /', closing);
    await gateway.report(({ queued }) => queued === 1);
    await clock.shift(200_000);
    gateway.publish(moved(1, 2));
    await gateway.report(({ name, queued }) => name === 'hello-00002' && queued === 1);
    assert.equal(client.text, '');
    await clock.shift(101_000);
    assert.equal(statusOf(await client.ended()), 504);
  });

  it('is answered 503 when that has happened too often', async (t) => {
    const gateway = await startTestGateway(t, routesOf([]));
    const client = gateway.request('GET /', closing);
    await gateway.report(({ queued }) => queued === 1);
    for (let at = 1; at <= 5; at++) gateway.publish(moved(at, at + 1));
    assert.equal(client.text, '');
    await gateway.report(({ name, queued }) => name === 'hello-00006' && queued === 1);
    gateway.publish(moved(6, 7));
    const text = await client.ended();
    assert.equal(statusOf(text), 503);
    assert.match(text, /\r\nRetry-After: 1\r\n[\s\S]*the route of this request changed too often/);
  });

  it('may do so as often as any, whatever happened to an earlier one of its connection', async (t) => {
    const origin = await startReplyOrigin(t);
    const gateway = await startTestGateway(t, routesOf([]));
    const client = gateway.request('GET /');
    await gateway.report(({ queued }) => queued === 1);
    for (let at = 1; at <= 4; at++) gateway.publish(moved(at, at + 1));
    gateway.publish(moved(5, 6, [origin.port]));
    await client.untilHas('200 OK');
    gateway.publish(moved(6, 7));
    client.request('GET /', closing);
    await gateway.report(({ name, queued }) => name === 'hello-00007' && queued === 1);
    gateway.publish(moved(7, 8, [origin.port]));
    const statuses = [...(await client.ended()).matchAll(/HTTP\/1.1 (\d+)/g)].map(([, status]) => status);
    assert.deepEqual(statuses, ['200', '200']);
  });
});
