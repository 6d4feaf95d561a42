import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Metrics } from '../observe/metrics.ts';
import type { BoundRoute } from './router.ts';
import type { RouteChange } from './routes/change.ts';
import {
  exchange,
  RawClient,
  requestText,
  routesOf,
  startReplyOrigin,
  startTestGateway,
  statusOf,
} from './testing/fixture.ts';
import { targetOf } from './testing/routes.ts';
import { ShiftingClock } from './testing/shifting-clock.ts';

const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const closing = 'Connection: close\r\n';
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
  it('while a request is routed ends that request with 500, is counted, and nothing else', async () => {
    const origin = await startReplyOrigin(ok);
    const headers = null as unknown as BoundRoute['headers'];
    const bad = { hosts: new Map([['bad', [{ prefix: '/', headers, splits: [] }]]]), targets: new Map() };
    const metrics = new Metrics('gateway');
    const gateway = await startTestGateway(beside(origin.port, bad), { metrics });
    const other = new RawClient(gateway.port).send(requestText('GET /'));
    await other.untilHas('ok');
    const text = await exchange(gateway.port, badRequest());
    assert.equal(statusOf(text), 500);
    assert.match(text, /the gateway failed at this request/);
    other.send(requestText('GET /', closing));
    assert.equal((await other.ended()).split('200 OK').length, 3);
    assert.match(await metrics.text(), faults(1));
    assert.match(await metrics.text(), /^kittiwake_gateway_local_replies_total\{code="500",role="gateway"\} 1$/m);
    await gateway.stop();
    origin.close();
  });

  it('while a pod is connected to ends that request with 500 and frees its slot', async () => {
    const origin = await startReplyOrigin(ok);
    const endpoints = [{ host: '127.0.0.1', port: 99_999 }];
    const target = { ...targetOf('bad'), containerConcurrency: 1, endpoints };
    const splits = [{ percent: 100, target: 'default/bad:80', appendHeaders: {} }];
    const bad = {
      hosts: new Map([['bad', [{ prefix: '/', headers: [], splits }]]]),
      targets: new Map([['default/bad:80', target]]),
    };
    const metrics = new Metrics('gateway');
    const gateway = await startTestGateway(beside(origin.port, bad), { metrics });
    // Without a free slot the second and third would wait.
    for (let round = 1; round <= 3; round++) {
      assert.equal(statusOf(await exchange(gateway.port, badRequest())), 500);
      assert.match(await metrics.text(), faults(round));
    }
    const others = [1, 2, 3].map(() => exchange(gateway.port, requestText('GET /', closing)));
    for (const text of await Promise.all(others)) assert.equal(statusOf(text), 200);
    await gateway.stop();
    origin.close();
  });

  it('while one waiting request is started leaves those behind it in the queue their turn', async () => {
    const origin = await startReplyOrigin(ok);
    const gateway = await startTestGateway(routesOf([], { containerConcurrency: 1 }));
    const first = new RawClient(gateway.port).send(requestText('GET /', closing));
    await gateway.report(({ queued }) => queued === 1);
    const second = new RawClient(gateway.port).send(requestText('GET /', closing));
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
    await gateway.stop();
    origin.close();
  });

  it('while a reply is read ends its request, and the connection upstream is not used again', async () => {
    const origin = await startReplyOrigin(ok);
    const clock = new ShiftingClock();
    const metrics = new Metrics('gateway');
    const gateway = await startTestGateway(routesOf([origin.port]), { clock, metrics });
    const client = new RawClient(gateway.port).send(requestText('GET /'));
    await client.untilHas('ok');
    const monotonic = clock.monotonic;
    let calls = 0;
    // The first read is the arrival, the second the end of the reply.
    clock.monotonic = function (this: ShiftingClock) {
      if (new Error('where').stack?.includes('exchange.ts') && ++calls === 2) throw new Error('a mishap');
      return monotonic.call(this);
    };
    client.send(requestText('GET /'));
    await client.ended();
    clock.monotonic = monotonic;
    assert.match(await metrics.text(), faults(1));
    assert.equal(statusOf(await exchange(gateway.port, requestText('GET /', closing))), 200);
    await gateway.stop();
    origin.close();
  });
});
