/** What a client may take of the server in time and number, with limits that are short enough to be waited for. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { connect as connectTcp, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { ConfigMapKind } from '../../../api/core/config-map.ts';
import { systemClock } from '../../../lib/clock.ts';
import { silentLogger } from '../../../observe/log.ts';
import { RequestPipeline } from '../pipeline.ts';
import { KettleKind, kettle, kettles } from '../testing/kettles.ts';
import { openApi } from '../testing/open-api.ts';
import { defaultLimits, type Limits } from './limits.ts';
import { startListener } from './listener.ts';

async function listen(t: TestContext, limits: Partial<Limits>) {
  const { api, dataDir } = await openApi(t, { resources: [kettles] });
  assert.ok(api.pipeline instanceof RequestPipeline);
  const listener = await startListener({
    pipeline: api.pipeline,
    dataDir,
    clock: systemClock,
    log: silentLogger,
    port: 0,
    limits,
  });
  t.after(() => listener.stop());
  const read = (name: string) => readFileSync(join(dataDir, 'pki', name));
  const credentials = { ca: read('ca.crt'), cert: read('admin.crt'), key: read('admin.key') };
  const port = Number(new URL(listener.url).port);
  const tcp = () => {
    const socket = connectTcp(port, '127.0.0.1').on('error', () => {});
    t.after(() => socket.destroy());
    return socket;
  };
  const tls = async () => {
    const socket = connectTls({ port, host: '127.0.0.1', ...credentials }).on('error', () => {});
    t.after(() => socket.destroy());
    await new Promise((resolve) => socket.once('secureConnect', resolve));
    return socket;
  };
  return { api, url: listener.url, credentials, tcp, tls };
}

/** What the server sent until it closed the connection. */
function untilClosed(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    socket.on('data', (chunk) => (text += chunk));
    socket.once('close', () => resolve(text));
  });
}

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
const post = 'POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n';

describe('the limits of the listener', { timeout: 60_000 }, () => {
  test('a handshake that never ends, or never begins, is ended', async (t) => {
    const { tcp } = await listen(t, { handshakeMs: 200 });
    const silent = untilClosed(tcp());
    const half = tcp();
    half.write('\x16\x03\x01\x02\x00\x01');
    await Promise.all([silent, untilClosed(half)]);
  });

  test('headers that never end are refused, by their time or by their size', async (t) => {
    const { tls } = await listen(t, { headersMs: 300, requestMs: 1000 });
    const slow = await tls();
    slow.write('GET /version HTTP/1.1\r\nHost: x\r\nX-A: ');
    assert.match(await untilClosed(slow), /^HTTP\/1\.1 408 /);
    const long = await tls();
    long.write(
      `GET /version HTTP/1.1\r\nHost: x\r\n${'X-A: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n'.repeat(3000)}`,
    );
    assert.match(await untilClosed(long), /^HTTP\/1\.1 431 /);
  });

  test('a body that never ends is given up, with the reason', async (t) => {
    const { credentials, tls, url } = await listen(t, { requestMs: 400 });
    const socket = await tls();
    socket.write(`${post}Content-Length: 100\r\n\r\n{`);
    assert.match(await untilClosed(socket), /^HTTP\/1\.1 (504|408) /);
    const session = connectHttp2(url, credentials).on('error', () => {});
    t.after(() => session.destroy());
    const stream = session.request({ ':path': '/api/v1/namespaces/default/configmaps', ':method': 'POST' });
    stream.on('error', () => {}).write('{');
    const code = await new Promise((resolve) => stream.once('response', (head) => resolve(head[':status'])));
    assert.equal(code, 504);
    stream.resume();
    await new Promise((resolve) => stream.once('close', resolve));
  });

  test('a stream goes on after the time that other requests have', async (t) => {
    const { api, credentials, tls, url } = await listen(t, { requestMs: 400 });
    await api.client.create(KettleKind, kettle('k'));
    const session = connectHttp2(url, credentials);
    t.after(() => session.destroy());
    const steam = session.request({ ':path': '/apis/kitchen.example.dev/v1/namespaces/default/kettles/k/steam' });
    await once(steam, 'data');
    const socket = await tls();
    socket.write(`${post}Content-Length: 100\r\n\r\n{`);
    assert.match(await untilClosed(socket), /^HTTP\/1\.1 (504|408) /);
    await once(steam, 'data');
    assert.equal(steam.closed, false);
    steam.close();
  });

  test('a body in chunks without end is refused as too large', async (t) => {
    const { tls } = await listen(t, {});
    const socket = await tls();
    const closed = untilClosed(socket);
    socket.write(`${post}Transfer-Encoding: chunked\r\n\r\n`);
    const chunk = `10000\r\n${' '.repeat(0x10000)}\r\n`;
    for (let sent = 0; sent < 100 && !socket.destroyed; sent++) {
      if (!socket.write(chunk)) {
        await new Promise((resolve) => {
          socket.once('drain', resolve);
          socket.once('close', resolve);
        });
      }
    }
    assert.match(await closed, /^HTTP\/1\.1 413 /);
  });

  test('an upgrade is refused in words, and the connection ends', async (t) => {
    const { tls } = await listen(t, {});
    const socket = await tls();
    const head = 'Host: x\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n';
    socket.write(`POST /api/v1/namespaces/a/pods/b/exec HTTP/1.1\r\n${head}`);
    assert.match(await untilClosed(socket), /^HTTP\/1\.1 404 [\s\S]*pods \\"b\\" not found/);
  });

  test('more connections than there may be are closed; so is an idle one, of either protocol', async (t) => {
    const { credentials, tcp, tls, url } = await listen(t, { connectionsMax: 2, idleMs: 400 });
    const one = await tls();
    one.write(get('/version'));
    const session = connectHttp2(url, credentials).on('error', () => {});
    t.after(() => session.destroy());
    await new Promise((resolve) => session.once('connect', resolve));
    await untilClosed(tcp());
    const ended = new Promise((resolve) => session.once('close', resolve));
    assert.match(await untilClosed(one), /^HTTP\/1\.1 200 /);
    await ended;
    const again = await tls();
    again.write(get('/version').replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'));
    assert.match(await untilClosed(again), /^HTTP\/1\.1 200 /);
  });

  test('requests beyond what is served at once are told to come again (429); health is always told', async (t) => {
    const { credentials, tls, url } = await listen(t, { requestsMax: 1, longRunningMax: 1 });
    const session = connectHttp2(url, credentials);
    t.after(() => session.destroy());
    const status = (path: string) =>
      new Promise<number>((resolve) => {
        const stream = session.request({ ':path': path }).on('error', () => {});
        stream.once('response', (head) => resolve(Number(head[':status'])));
        stream.resume();
      });
    const stalled = await tls();
    stalled.write(`${post}Expect: 100-continue\r\nContent-Length: 100\r\n\r\n{`);
    await new Promise((resolve) => stalled.once('data', resolve)); // 100 Continue: the request is in.
    assert.equal(await status('/api/v1/namespaces'), 429);
    assert.equal(await status('/healthz'), 200);
    assert.equal(await status('/api/v1/namespaces?watch=1'), 200);
    assert.equal(await status('/api/v1/namespaces?watch=1'), 429);
    stalled.destroy();
    while ((await status('/api/v1/namespaces')) !== 200) await new Promise((resolve) => setImmediate(resolve));
  });

  test('a watch whose client takes nothing more is ended', async (t) => {
    const { api, tls } = await listen(t, { stalledMs: 300 });
    const socket = await tls();
    socket.pause();
    socket.write(get('/api/v1/configmaps?watch=1'));
    const closed = new Promise((resolve) => socket.once('close', resolve));
    const key = { namespace: 'default', name: 'a' };
    const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: key };
    await api.client.create(ConfigMapKind, object);
    // Enough to fill the buffers of both sides.
    for (let i = 0; i < 20; i++) {
      await api.client.update(ConfigMapKind, { ...object, data: { text: `${i}`.padEnd(900_000, 'x') } });
    }
    await new Promise((resolve) => setTimeout(resolve, 0));
    const writing = setInterval(() => socket.write('x'), 20); // A client that only writes hears of the end by a reset.
    t.after(() => clearInterval(writing));
    await closed;
  });

  test('a client that sends requests faster than it reads answers is cut off', async (t) => {
    const { tls } = await listen(t, { pipelinedMax: 5 });
    const socket = await tls();
    socket.write(get('/api/v1/configmaps?watch=1') + get('/version').repeat(10));
    await untilClosed(socket);
  });

  test('the limits leave room for what clients of Kubernetes do', () => {
    assert.ok(defaultLimits.idleMs > 90_000, 'client-go keeps idle connections for 90 s');
    assert.ok(defaultLimits.requestMs >= 60_000, "kube-apiserver's request timeout");
  });
});
