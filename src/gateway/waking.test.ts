import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Metrics } from '../observe/metrics.ts';
import {
  eventually,
  exchange,
  isLeft,
  onHeads,
  RawClient,
  requestText,
  routesOf,
  startHttpOrigin,
  startRawOrigin,
  startReplyOrigin,
  startTestGateway,
  statusOf,
} from './testing/fixture.ts';

const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const closing = 'Connection: close\r\n';

describe('a request to a revision without pods', () => {
  it('is reported at once, waits, and is sent as soon as there is an address', async () => {
    const origin = await startReplyOrigin(ok);
    const gateway = await startTestGateway(routesOf([]));
    const client = new RawClient(gateway.port).send(requestText('GET /', closing));
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
    await gateway.stop();
    origin.close();
  });

  it('is reported again while the autoscaler is away, and not lost', async () => {
    const origin = await startReplyOrigin(ok);
    const gateway = await startTestGateway(routesOf([]));
    gateway.autoscaler.isAway = true;
    const client = new RawClient(gateway.port).send(requestText('GET /', closing));
    await new Promise((resolve) => setTimeout(resolve, 50));
    gateway.autoscaler.isAway = false;
    await gateway.report(({ queued }) => queued === 1);
    gateway.publish(routesOf([origin.port]));
    assert.match(await client.ended(), /200 OK/);
    await gateway.stop();
    origin.close();
  });

  it('keeps its body with the client, and then streams it', async () => {
    const origin = await startHttpOrigin((incoming, response) => {
      let length = 0;
      incoming.on('data', (bytes) => {
        length += bytes.length;
      });
      incoming.on('end', () => response.end(String(length)));
    });
    const gateway = await startTestGateway(routesOf([]));
    const size = 30_000_000;
    const client = new RawClient(gateway.port);
    client.send(requestText('POST /', `Content-Length: ${size}\r\n${closing}`, 'x'.repeat(size)));
    await gateway.report(({ queued }) => queued === 1);
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.ok(client.socket.writableLength > 0, 'the body is not taken yet');
    gateway.publish(routesOf([origin.port]));
    assert.match(await client.ended(), /200 OK[\s\S]*30000000/);
    await gateway.stop();
    origin.close();
  });

  it('is answered 503 when too much waits in the gateway, unless it holds nothing of it', async () => {
    const metrics = new Metrics('gateway');
    const gateway = await startTestGateway(routesOf([]), { metrics, limits: { heldBytes: 10_000 } });
    const small = new RawClient(gateway.port).send(requestText('GET /'));
    await gateway.report(({ queued }) => queued === 1);
    const text = await exchange(gateway.port, requestText('POST /', 'Content-Length: 90000\r\n', 'x'.repeat(30_000)));
    assert.match(text, /^HTTP\/1.1 503 [\s\S]*too much waits in the gateway/);
    assert.match(await metrics.text(), /^kittiwake_gateway_shed_total\{role="gateway"\} 1$/m);
    assert.equal(small.text, '');
    small.close();
    await gateway.stop({ graceMs: 0 });
  });

  it('is answered 504 at its deadline, waiting included', async () => {
    const gateway = await startTestGateway(routesOf([], { timeoutMs: 200 }));
    const text = await exchange(gateway.port, requestText('GET /'));
    assert.equal(statusOf(text), 504);
    assert.match(text, /\r\n\r\nrequest timeout\n$/);
    await gateway.stop();
  });

  it('is answered 503 with Retry-After when the queue is full', async () => {
    const gateway = await startTestGateway(routesOf([]), { limits: { queuedPerRevision: 2 } });
    const waiting = [1, 2].map(() => new RawClient(gateway.port).send(requestText('GET /')));
    await gateway.report(({ queued }) => queued >= 1);
    await eventually(() => waiting.every((client) => !client.socket.connecting));
    const text = await exchange(gateway.port, requestText('GET /'));
    assert.equal(statusOf(text), 503);
    assert.match(text, /\r\nRetry-After: 1\r\n/);
    for (const client of waiting) client.close();
    await gateway.stop();
  });

  it('leaves the queue when its client leaves', async () => {
    const heads: string[] = [];
    const origin = await startRawOrigin((socket) =>
      onHeads(socket, (head) => {
        heads.push(head);
        socket.write(ok);
      }),
    );
    const gateway = await startTestGateway(routesOf([]));
    const leaver = new RawClient(gateway.port).send(requestText('GET /left'));
    await gateway.report(({ queued }) => queued === 1);
    leaver.close();
    await gateway.report(({ queued }) => queued === 0);
    gateway.publish(routesOf([origin.port]));
    assert.equal(statusOf(await exchange(gateway.port, requestText('GET /stays', closing))), 200);
    assert.equal(heads.length, 1);
    await gateway.stop();
    origin.close();
  });

  it('waits on while the address refuses connections', async () => {
    const gone = await startReplyOrigin(ok);
    gone.close();
    const origin = await startReplyOrigin(ok);
    const gateway = await startTestGateway(routesOf([gone.port]));
    const client = new RawClient(gateway.port).send(requestText('POST /', `Content-Length: 3\r\n${closing}`, 'abc'));
    await new Promise((resolve) => setTimeout(resolve, 50));
    gateway.publish(routesOf([gone.port, origin.port]));
    assert.match(await client.ended(), /200 OK/);
    await gateway.stop();
    origin.close();
  });
});

describe('a revision with containerConcurrency 1', () => {
  it('never gets two requests at once, and all are served', async () => {
    let active = 0;
    let activeMax = 0;
    const origin = await startHttpOrigin((_, response) => {
      activeMax = Math.max(activeMax, ++active);
      setTimeout(() => {
        active--;
        response.end('ok');
      }, 2);
    });
    const gateway = await startTestGateway(routesOf([origin.port], { containerConcurrency: 1 }));
    const texts = await Promise.all(
      Array.from({ length: 20 }, () => exchange(gateway.port, requestText('GET /', closing))),
    );
    assert.deepEqual([...new Set(texts.map(statusOf))], [200]);
    assert.equal(activeMax, 1);
    await gateway.stop();
    origin.close();
  });
});

describe('timeouts', () => {
  it('answer 504 when the reply does not begin in time', async () => {
    const origin = await startRawOrigin(() => {});
    const target = { timeoutMs: 60_000, responseStartTimeoutMs: 200 };
    const gateway = await startTestGateway(routesOf([origin.port], target));
    assert.equal(statusOf(await exchange(gateway.port, requestText('GET /'))), 504);
    await gateway.stop();
    origin.close();
  });

  it('cut a reply that stands still longer than the idle timeout', async () => {
    const origin = await startReplyOrigin('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc');
    const gateway = await startTestGateway(routesOf([origin.port], { idleTimeoutMs: 200 }));
    assert.match(await exchange(gateway.port, requestText('GET /')), /200 OK[\s\S]*abc$/);
    await gateway.stop();
    origin.close();
  });

  it('close a client connection that idles', async () => {
    const origin = await startReplyOrigin(ok);
    const gateway = await startTestGateway(routesOf([origin.port]), { limits: { clientIdleMs: 200 } });
    assert.match(await exchange(gateway.port, requestText('GET /')), /200 OK/);
    await gateway.stop();
    origin.close();
  });

  it('close an upstream connection that idles', async () => {
    const origin = await startReplyOrigin(ok);
    const gateway = await startTestGateway(routesOf([origin.port]), { limits: { upstreamIdleMs: 200 } });
    assert.match(await exchange(gateway.port, requestText('GET /', closing)), /200 OK/);
    await new Promise<void>((resolve) => [...origin.sockets][0]?.once('end', resolve));
    await gateway.stop();
    origin.close();
  });
});

describe('an address that goes away', () => {
  it('loses its idle connections at once and its busy ones after their replies', async () => {
    const held: (() => void)[] = [];
    const origin = await startRawOrigin((socket) =>
      onHeads(socket, (head) => {
        if (head.startsWith('GET /held')) held.push(() => socket.write(ok));
        else socket.write(ok);
      }),
    );
    const gateway = await startTestGateway(routesOf([origin.port]));
    const busy = new RawClient(gateway.port).send(requestText('GET /held', closing));
    await eventually(() => held.length === 1);
    await exchange(gateway.port, requestText('GET /', closing));
    assert.equal(origin.sockets.size, 2);
    gateway.publish(routesOf([]));
    await eventually(() => [...origin.sockets].filter((socket) => socket.readableEnded).length === 1);
    const next = new RawClient(gateway.port).send(requestText('GET /next', closing));
    await gateway.report(({ queued }) => queued === 1);
    held[0]?.();
    assert.match(await busy.ended(), /200 OK/);
    await eventually(() => isLeft(origin));
    gateway.publish(routesOf([origin.port]));
    assert.match(await next.ended(), /200 OK/);
    await gateway.stop();
    origin.close();
  });
});

describe('the reports', () => {
  it('tell each second how many requests were at once, on average, and how many came', {
    timeout: 10_000,
  }, async () => {
    const origin = await startReplyOrigin(ok);
    const gateway = await startTestGateway(routesOf([origin.port]));
    await exchange(gateway.port, requestText('GET /', closing));
    const stats = await gateway.report(({ requestCount }) => requestCount === 1);
    assert.ok(stats.averageConcurrency > 0 && stats.averageConcurrency < 1);
    assert.equal(stats.queued, 0);
    await gateway.report(({ requestCount, averageConcurrency }) => requestCount === 0 && averageConcurrency === 0);
    await gateway.stop();
    origin.close();
  });
});
