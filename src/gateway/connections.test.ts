import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { systemClock } from '../lib/clock.ts';
import { KittiwakeError } from '../lib/errors.ts';
import { silentLogger } from '../observe/log.ts';
import { Metrics } from '../observe/metrics.ts';
import { startGateway } from './index.ts';
import type { RouteChange } from './routes/change.ts';
import {
  closing,
  eventually,
  exchange,
  isLeft,
  ok,
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

const upgrade = 'Connection: Upgrade\r\nUpgrade: echo\r\n';

describe('an upgrade', () => {
  it('joins the two connections both ways, with what was sent early, until both have ended', async (t) => {
    const origin = await startRawOrigin(t, (socket) => {
      let isSwitched = false;
      socket.on('data', (bytes) => {
        if (isSwitched) {
          socket.write(bytes);
          return;
        }
        isSwitched = true;
        const text = bytes.toString('latin1');
        assert.match(text, /\r\nConnection: Upgrade\r\nUpgrade: echo\r\n/);
        socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\nwelcome ');
        const early = text.slice(text.indexOf('\r\n\r\n') + 4);
        if (early !== '') socket.write(early);
      });
      socket.on('end', () => socket.end(' bye'));
    });
    const gateway = await startTestGateway(t, routesOf([origin.port]));
    const client = gateway.request('GET /', upgrade, 'early ');
    await client.untilHas('welcome early ');
    assert.match(client.text, /^HTTP\/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n/);
    client.send('hello');
    await client.untilHas('hello');
    client.socket.end();
    assert.match(await client.ended(), /welcome early hello bye$/);
  });

  it('carries a WebSocket', async (t) => {
    const origin = await startHttpOrigin(t, () => {});
    origin.close();
    const server = await startRawOrigin(t, (socket) =>
      onHeads(socket, (head) => {
        const key = /Sec-WebSocket-Key: (.*)\r\n/i.exec(head)?.[1];
        const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
        const fields = `Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n`;
        socket.write(`HTTP/1.1 101 Switching Protocols\r\n${fields}\r\n`);
        socket.write(Buffer.from([0x81, 2, 0x68, 0x69]));
      }),
    );
    const gateway = await startTestGateway(t, routesOf([server.port]));
    const snapshot = routesOf([server.port]);
    const [routes] = snapshot.hosts.values();
    gateway.publish({ ...snapshot, hosts: new Map([['127.0.0.1', routes ?? []]]) });
    const socket = new WebSocket(`ws://127.0.0.1:${gateway.port}/`);
    const data = await new Promise((resolve, reject) => {
      socket.onmessage = (event) => resolve(event.data);
      socket.onerror = () => reject(new Error('the WebSocket failed'));
    });
    assert.equal(data, 'hi');
    await gateway.stop({ graceMs: 0 });
  });

  it('that is declined leaves an ordinary connection', async (t) => {
    const origin = await startReplyOrigin(t);
    const gateway = await startTestGateway(t, routesOf([origin.port]));
    const client = gateway.request('GET /', upgrade);
    await client.untilHas('ok');
    client.request('GET /', closing);
    assert.equal((await client.ended()).split('200 OK').length, 3);
  });

  it('to h2c, or with a body, is not offered upstream', async (t) => {
    const origin = await startReplyOrigin(t);
    const { heads } = origin;
    const gateway = await startTestGateway(t, routesOf([origin.port]));
    const h2c = 'Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n';
    await gateway.exchange('GET /', h2c);
    await gateway.exchange('POST /', `${upgrade}Content-Length: 1\r\nConnection: close\r\n`, 'a');
    for (const head of heads) assert.doesNotMatch(head, /Upgrade|HTTP2-Settings/i);
  });

  it('counts as one that was answered 1xx, whichever side ends it', async (t) => {
    const origin = await startReplyOrigin(t, 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\n\r\n');
    const metrics = new Metrics('gateway');
    const gateway = await startTestGateway(t, routesOf([origin.port]), { metrics });
    const [leaves, isLeftAlone] = [gateway.connect(), gateway.connect()];
    for (const client of [leaves, isLeftAlone]) await client.request('GET /', upgrade).untilHas('101');
    leaves.socket.resetAndDestroy();
    await eventually(() => [...origin.sockets].some(({ readableEnded }) => readableEnded));
    for (const socket of origin.sockets) socket.resetAndDestroy();
    await isLeftAlone.ended();
    const text = await metrics.text();
    assert.match(text, /requests_total\{[^}]*code_class="1xx"[^}]*\} 2\n/);
    assert.match(text, /bad_replies_total\{[^}]*\} 0\n/);
  });

  it('ends upstream when the client is gone', async (t) => {
    const origin = await startReplyOrigin(t, 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\n\r\n');
    const gateway = await startTestGateway(t, routesOf([origin.port]));
    const client = gateway.request('GET /', upgrade);
    await client.untilHas('101');
    client.socket.resetAndDestroy();
    await eventually(() => isLeft(origin));
  });
});

describe('the gateway', () => {
  it('turns away a connection over the limit with 503', async (t) => {
    const gateway = await startTestGateway(t, routesOf([]), { limits: { connections: 1 } });
    const first = gateway.request('GET /');
    await gateway.report(({ queued }) => queued === 1);
    const text = await gateway.connect().ended();
    assert.equal(statusOf(text), 503);
    first.close();
  });

  it('lets requests under way end when it stops, accepts no more, and closes idle connections', async (t) => {
    let answer: (() => void) | undefined;
    const origin = await startRawOrigin(t, (socket) =>
      onHeads(socket, (head) => {
        if (head.startsWith('GET /slow')) answer = () => socket.write(ok);
        else socket.write(ok);
      }),
    );
    const gateway = await startTestGateway(t, routesOf([origin.port]));
    const idle = gateway.request('GET /');
    await idle.untilHas('ok');
    const slow = gateway.request('GET /slow');
    await eventually(() => answer !== undefined);
    const stopped = gateway.stop({ graceMs: 5_000 });
    await idle.ended();
    const late = gateway.connect();
    assert.equal(await late.ended(), '');
    answer?.();
    assert.match(await slow.ended(), /200 OK[\s\S]*\r\nConnection: close\r\n/);
    await stopped;
  });

  it('follows its routes while it drains: a request that waits for a pod is sent when there is one', async (t) => {
    const origin = await startReplyOrigin(t);
    let publish: ((change: RouteChange) => void) | undefined;
    const source = {
      async start(onChange: (change: RouteChange) => void) {
        publish = onChange;
        onChange(routesOf([]));
      },
      stop() {
        publish = undefined;
      },
    };
    const metrics = new Metrics('gateway');
    const options = { port: 0, autoscaler: { url: 'http://127.0.0.1:1' }, id: 'b', metrics };
    const gateway = await startGateway({ ...options, source, clock: systemClock, log: silentLogger });
    const client = new RawClient(gateway.port).request('GET /');
    while (!/requests_active\{.*\} 1/.test(await metrics.text())) await new Promise((resolve) => setImmediate(resolve));
    const stopped = gateway.stop({ graceMs: 600_000 });
    // By now what is to stop at once has stopped.
    await assert.rejects(once(new RawClient(gateway.port).socket, 'connect'));
    publish?.(routesOf([origin.port]));
    assert.match(await client.ended(), /200 OK/);
    await stopped;
    assert.equal(publish, undefined);
  });

  it('lets a client ask that had connected and said nothing yet, but not for long', async (t) => {
    const origin = await startReplyOrigin(t);
    const gateway = await startTestGateway(t, routesOf([origin.port]), { limits: { lingerMs: 300 } });
    const [asks, never] = [gateway.connect(), gateway.connect()];
    // Its reply shows that those before it have been accepted.
    await gateway.exchange('GET /', closing);
    const stopped = gateway.stop({ graceMs: 600_000 });
    assert.match(await asks.request('GET /').ended(), /200 OK[\s\S]*\r\nConnection: close\r\n/);
    assert.equal(await never.ended(), '');
    await stopped;
  });

  it('cuts what is left when the grace is over', async (t) => {
    const gateway = await startTestGateway(t, routesOf([]));
    const client = gateway.request('GET /');
    await gateway.report(({ queued }) => queued === 1);
    await gateway.stop({ graceMs: 10 });
    assert.equal(await client.ended(), '');
  });

  it('logs every n-th request when asked to', async (t) => {
    const origin = await startReplyOrigin(t);
    const lines: object[] = [];
    const log = {
      ...silentLogger,
      info: (fields: object, message: string) => message === 'request' && lines.push(fields),
    };
    const source = {
      async start(onChange: (snapshot: RouteChange) => void) {
        onChange(routesOf([origin.port]));
      },
      stop() {},
    };
    const options = { port: 0, autoscaler: { url: 'http://127.0.0.1:1' }, id: 'b', accessLogEvery: 2 };
    const gateway = await startGateway({ ...options, source, clock: systemClock, log });
    for (const path of ['/1', '/2', '/3']) {
      await exchange(gateway.port, requestText(`GET ${path}`, closing));
    }
    assert.deepEqual(
      lines.map((line) => 'path' in line && line.path),
      ['/1', '/3'],
    );
    await gateway.stop();
  });

  it('says which port is in use', async (t) => {
    const gateway = await startTestGateway(t, routesOf([]));
    const options = { port: gateway.port, autoscaler: { url: 'http://127.0.0.1:1' }, id: 'b' };
    const source = { start: async () => {}, stop() {} };
    const second = startGateway({ ...options, source, clock: systemClock, log: silentLogger });
    await assert.rejects(
      second,
      (error) =>
        error instanceof KittiwakeError && error.code === 'PORT_IN_USE' && error.message.includes(`${gateway.port}`),
    );
  });
});
