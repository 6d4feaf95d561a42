import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Metrics } from '../observe/metrics.ts';
import type { BoundRoute } from './router.ts';
import type { RouteChange } from './routes/change.ts';
import { closing, exchange, routesOf, startReplyOrigin, startTestGateway, statusOf } from './testing/fixture.ts';
import { targetOf } from './testing/routes.ts';
import { ShiftingClock } from './testing/shifting-clock.ts';

const faults = (count: number) =>
  new RegExp(`^kittiwake_gateway_internal_errors_total\\{role="gateway"\\} ${count}$`, 'm');

/** One good host, and `bad` beside it. */
function beside(port: number, bad: RouteChange): RouteChange {
  const good = routesOf([port]);
  return {
    hosts: new Map([...good.hosts, ...bad.hosts]),
    targets: new Map([...good.targets, ...bad.targets]),
  };
}

const badRequest = (path = '/') => `GET ${path} HTTP/1.1\r\nHost: bad\r\n${closing}\r\n`;

describe('an error in the gateway itself', () => {
  it('while a request is routed ends that request with 500, is counted, and nothing else', async (t) => {
    const origin = await startReplyOrigin(t);
    const headers = null as unknown as BoundRoute['headers'];
    const bad = { hosts: new Map([['bad', [{ prefix: '/', headers, splits: [] }]]]), targets: new Map() };
    const metrics = new Metrics('gateway');
    const gateway = await startTestGateway(t, beside(origin.port, bad), { metrics });
    const other = gateway.request('GET /');
    await other.untilHas('ok');
    const text = await exchange(gateway.port, badRequest());
    assert.equal(statusOf(text), 500);
    assert.match(text, /the gateway failed at this request/);
    other.request('GET /', closing);
    assert.equal((await other.ended()).split('200 OK').length, 3);
    assert.match(await metrics.text(), faults(1));
    assert.match(await metrics.text(), /^kittiwake_gateway_local_replies_total\{code="500",role="gateway"\} 1$/m);
  });

  it('while a pod is connected to ends that request with 500 and frees its slot', async (t) => {
    const origin = await startReplyOrigin(t);
    const endpoints = [{ host: '127.0.0.1', port: 99_999 }];
    const target = { ...targetOf('bad'), containerConcurrency: 1, endpoints };
    const splits = [{ percent: 100, target: 'default/bad:80', appendHeaders: {} }];
    const bad = {
      hosts: new Map([['bad', [{ prefix: '/', headers: [], splits }]]]),
      targets: new Map([['default/bad:80', target]]),
    };
    const metrics = new Metrics('gateway');
    const gateway = await startTestGateway(t, beside(origin.port, bad), { metrics });
    // Without a free slot the second and third would wait.
    for (let round = 1; round <= 3; round++) {
      assert.equal(statusOf(await exchange(gateway.port, badRequest())), 500);
      assert.match(await metrics.text(), faults(round));
    }
    const others = [1, 2, 3].map(() => gateway.exchange('GET /', closing));
    for (const text of await Promise.all(others)) assert.equal(statusOf(text), 200);
  });

  it('while one waiting request is started leaves those behind it in the queue their turn', async (t) => {
    const origin = await startReplyOrigin(t);
    const gateway = await startTestGateway(t, routesOf([], { containerConcurrency: 1 }));
    const first = gateway.request('GET /', closing);
    await gateway.report(({ queued }) => queued === 1);
    const second = gateway.request('GET /', closing);
    const endpoints = [
      { host: '127.0.0.1', port: 99_999 },
      { host: '127.0.0.1', port: origin.port },
    ];
    gateway.publish(routesOf([], { containerConcurrency: 1, endpoints }));
    const statuses = [statusOf(await first.ended()), statusOf(await second.ended())];
    assert.ok(
      statuses.every((status) => status === 200 || status === 500),
      String(statuses),
    );
    assert.equal(statuses[0], 500, 'the first in the queue met the first address');
  });

  it('while a reply is read ends its request, and the connection upstream is not used again', async (t) => {
    const origin = await startReplyOrigin(t);
    const clock = new ShiftingClock();
    const metrics = new Metrics('gateway');
    const gateway = await startTestGateway(t, routesOf([origin.port]), { clock, metrics });
    const client = gateway.request('GET /');
    await client.untilHas('ok');
    const monotonic = clock.monotonic;
    let calls = 0;
    // The first read is the arrival, the second the end of the reply.
    clock.monotonic = function (this: ShiftingClock) {
      if (new Error('where').stack?.includes('exchange.ts') && ++calls === 2) throw new Error('a mishap');
      return monotonic.call(this);
    };
    client.request('GET /');
    await client.ended();
    clock.monotonic = monotonic;
    assert.match(await metrics.text(), faults(1));
    assert.equal(statusOf(await gateway.exchange('GET /', closing)), 200);
  });
});
