import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Metrics } from '../observe/metrics.ts';
import {
  closing,
  eventually,
  isLeft,
  ok,
  onHeads,
  routesOf,
  startHttpOrigin,
  startRawOrigin,
  startReplyOrigin,
  startTestGateway,
  statusOf,
} from './testing/fixture.ts';

describe('a request to a revision without pods', () => {
  it('is reported at once, waits, and is sent as soon as there is an address', async (t) => {
    const origin = await startReplyOrigin(t);
    const gateway = await startTestGateway(t, routesOf([]));
    const client = gateway.request('GET /', closing);
    const stats = await gateway.report(({ queued }) => queued === 1);
    assert.deepEqual(stats, {
      namespace: 'default',
      name: 'hello-00001',
      averageConcurrency: 1,
      requestCount: 1,
      queued: 1,
    });
    assert.equal(client.text, '');
    gateway.publish(routesOf([origin.port]));
    assert.match(await client.ended(), /200 OK/);
  });

  it('is reported again while the autoscaler is away, and not lost', async (t) => {
    const origin = await startReplyOrigin(t);
    const gateway = await startTestGateway(t, routesOf([]));
    gateway.autoscaler.isAway = true;
    const client = gateway.request('GET /', closing);
    await new Promise((resolve) => setTimeout(resolve, 50));
    gateway.autoscaler.isAway = false;
    await gateway.report(({ queued }) => queued === 1);
    gateway.publish(routesOf([origin.port]));
    assert.match(await client.ended(), /200 OK/);
  });

  it('keeps its body with the client, and then streams it', async (t) => {
    const origin = await startHttpOrigin(t, (incoming, response) => {
      let length = 0;
      incoming.on('data', (bytes) => {
        length += bytes.length;
      });
      incoming.on('end', () => response.end(String(length)));
    });
    const gateway = await startTestGateway(t, routesOf([]));
    const size = 30_000_000;
    const client = gateway.connect();
    client.request('POST /', `Content-Length: ${size}\r\n${closing}`, 'x'.repeat(size));
    await gateway.report(({ queued }) => queued === 1);
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.ok(client.socket.writableLength > 0, 'the body is not taken yet');
    gateway.publish(routesOf([origin.port]));
    assert.match(await client.ended(), /200 OK[\s\S]*30000000/);
  });

  it('is answered 503 when too much waits in the gateway, unless it holds nothing of it', async (t) => {
    const metrics = new Metrics('gateway');
    const gateway = await startTestGateway(t, routesOf([]), { metrics, limits: { heldBytes: 10_000 } });
    const small = gateway.request('GET /');
    await gateway.report(({ queued }) => queued === 1);
    const text = await gateway.exchange('POST /', 'Content-Length: 90000\r\n', 'x'.repeat(30_000));
    assert.match(text, /^HTTP\/1.1 503 [\s\S]*too much waits in the gateway/);
    assert.match(await metrics.text(), /^kittiwake_gateway_shed_total\{role="gateway"\} 1$/m);
    assert.equal(small.text, '');
    small.close();
    await gateway.stop({ graceMs: 0 });
  });

  it('is answered 504 at its deadline, waiting included', async (t) => {
    const gateway = await startTestGateway(t, routesOf([], { timeoutMs: 200 }));
    const text = await gateway.exchange('GET /');
    assert.equal(statusOf(text), 504);
    assert.match(text, /\r\n\r\nrequest timeout\n$/);
  });

  it('is answered 503 with Retry-After when the queue is full', async (t) => {
    const gateway = await startTestGateway(t, routesOf([]), { limits: { queuedPerRevision: 2 } });
    const waiting = [1, 2].map(() => gateway.request('GET /'));
    await gateway.report(({ queued }) => queued >= 1);
    await eventually(() => waiting.every((client) => !client.socket.connecting));
    const text = await gateway.exchange('GET /');
    assert.equal(statusOf(text), 503);
    assert.match(text, /\r\nRetry-After: 1\r\n/);
    for (const client of waiting) client.close();
  });

  it('leaves the queue when its client leaves', async (t) => {
    const origin = await startReplyOrigin(t);
    const { heads } = origin;
    const gateway = await startTestGateway(t, routesOf([]));
    const leaver = gateway.request('GET /left');
    await gateway.report(({ queued }) => queued === 1);
    leaver.close();
    await gateway.report(({ queued }) => queued === 0);
    gateway.publish(routesOf([origin.port]));
    assert.equal(statusOf(await gateway.exchange('GET /stays', closing)), 200);
    assert.equal(heads.length, 1);
  });

  it('waits on while the address refuses connections', async (t) => {
    const gone = await startReplyOrigin(t);
    gone.close();
    const origin = await startReplyOrigin(t);
    const gateway = await startTestGateway(t, routesOf([gone.port]));
    const client = gateway.request('POST /', `Content-Length: 3\r\n${closing}`, 'abc');
    await new Promise((resolve) => setTimeout(resolve, 50));
    gateway.publish(routesOf([gone.port, origin.port]));
    assert.match(await client.ended(), /200 OK/);
  });
});

describe('a revision with containerConcurrency 1', () => {
  it('never gets two requests at once, and all are served', async (t) => {
    let active = 0;
    let activeMax = 0;
    const origin = await startHttpOrigin(t, (_, response) => {
      activeMax = Math.max(activeMax, ++active);
      setTimeout(() => {
        active--;
        response.end('ok');
      }, 2);
    });
    const gateway = await startTestGateway(t, routesOf([origin.port], { containerConcurrency: 1 }));
    const texts = await Promise.all(Array.from({ length: 20 }, () => gateway.exchange('GET /', closing)));
    assert.deepEqual([...new Set(texts.map(statusOf))], [200]);
    assert.equal(activeMax, 1);
  });
});

describe('timeouts', () => {
  it('answer 504 when the reply does not begin in time', async (t) => {
    const origin = await startRawOrigin(t, () => {});
    const target = { timeoutMs: 60_000, responseStartTimeoutMs: 200 };
    const gateway = await startTestGateway(t, routesOf([origin.port], target));
    assert.equal(statusOf(await gateway.exchange('GET /')), 504);
  });

  it('cut a reply that stands still longer than the idle timeout', async (t) => {
    const origin = await startReplyOrigin(t, 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc');
    const gateway = await startTestGateway(t, routesOf([origin.port], { idleTimeoutMs: 200 }));
    assert.match(await gateway.exchange('GET /'), /200 OK[\s\S]*abc$/);
  });

  it('close a client connection that idles', async (t) => {
    const origin = await startReplyOrigin(t);
    const gateway = await startTestGateway(t, routesOf([origin.port]), { limits: { clientIdleMs: 200 } });
    assert.match(await gateway.exchange('GET /'), /200 OK/);
  });

  it('close an upstream connection that idles', async (t) => {
    const origin = await startReplyOrigin(t);
    const gateway = await startTestGateway(t, routesOf([origin.port]), { limits: { upstreamIdleMs: 200 } });
    assert.match(await gateway.exchange('GET /', closing), /200 OK/);
    await new Promise<void>((resolve) => [...origin.sockets][0]?.once('end', resolve));
  });
});

describe('an address that goes away', () => {
  it('loses its idle connections at once and its busy ones after their replies', async (t) => {
    const held: (() => void)[] = [];
    const origin = await startRawOrigin(t, (socket) =>
      onHeads(socket, (head) => {
        if (head.startsWith('GET /held')) held.push(() => socket.write(ok));
        else socket.write(ok);
      }),
    );
    const gateway = await startTestGateway(t, routesOf([origin.port]));
    const busy = gateway.request('GET /held', closing);
    await eventually(() => held.length === 1);
    await gateway.exchange('GET /', closing);
    assert.equal(origin.sockets.size, 2);
    gateway.publish(routesOf([]));
    await eventually(() => [...origin.sockets].filter((socket) => socket.readableEnded).length === 1);
    const next = gateway.request('GET /next', closing);
    await gateway.report(({ queued }) => queued === 1);
    held[0]?.();
    assert.match(await busy.ended(), /200 OK/);
    await eventually(() => isLeft(origin));
    gateway.publish(routesOf([origin.port]));
    assert.match(await next.ended(), /200 OK/);
  });
});

describe('the reports', () => {
  it('tell each second how many requests were at once, on average, and how many came', {
    timeout: 10_000,
  }, async (t) => {
    const origin = await startReplyOrigin(t);
    const gateway = await startTestGateway(t, routesOf([origin.port]));
    await gateway.exchange('GET /', closing);
    const stats = await gateway.report(({ requestCount }) => requestCount === 1);
    assert.ok(stats.averageConcurrency > 0 && stats.averageConcurrency < 1);
    assert.equal(stats.queued, 0);
    await gateway.report(({ requestCount, averageConcurrency }) => requestCount === 0 && averageConcurrency === 0);
  });
});
