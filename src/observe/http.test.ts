import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serveObservability } from './http.ts';
import { silentLogger } from './log.ts';
import { Metrics } from './metrics.ts';

test('a role serves its metrics, its health, and why it is not ready', async () => {
  const metrics = new Metrics('gateway');
  metrics.counter('kittiwake_test_total', 'Of the test.').inc(3);
  let notReady: string | undefined = 'waiting for routes';
  const server = await serveObservability({
    port: 0,
    metrics,
    notReady: () => notReady,
    role: 'gateway',
    log: silentLogger,
  });
  const { port } = server.address() as { port: number };
  const get = async (path: string) => {
    const reply = await fetch(`http://127.0.0.1:${port}${path}`);
    return { status: reply.status, text: await reply.text() };
  };
  try {
    const { text } = await get('/metrics');
    assert.match(text, /^kittiwake_test_total\{role="gateway"\} 3$/m);
    assert.match(text, /^process_resident_memory_bytes\{role="gateway"\} \d+$/m);
    assert.match((await get('/metrics')).text, /^nodejs_eventloop_lag_seconds\{role="gateway"\} [\d.e-]+$/m);
    assert.equal((await get('/healthz')).status, 200);
    assert.deepEqual(await get('/readyz'), { status: 503, text: 'waiting for routes\n' });
    notReady = undefined;
    assert.equal((await get('/readyz')).status, 200);
    assert.equal((await get('/')).status, 404);
    const second = serveObservability({ port, metrics, notReady: () => undefined, role: 'gateway', log: silentLogger });
    await assert.rejects(second, { code: 'PORT_IN_USE', message: /--gateway-metrics-port/ });
  } finally {
    server.close();
    server.closeAllConnections();
  }
});

test('metrics that cannot be told are an error of that answer, and of nothing else', async () => {
  const metrics = new Metrics('broker');
  let isBroken = true;
  metrics.addSource(() => {
    if (isBroken) throw new Error('no such log');
    return '';
  });
  const server = await serveObservability({
    port: 0,
    metrics,
    notReady: () => undefined,
    role: 'broker',
    log: silentLogger,
  });
  const { port } = server.address() as { port: number };
  try {
    const broken = await fetch(`http://127.0.0.1:${port}/metrics`);
    assert.deepEqual([broken.status, await broken.text()], [500, 'the answer failed: no such log\n']);
    isBroken = false;
    assert.equal((await fetch(`http://127.0.0.1:${port}/metrics`)).status, 200);
  } finally {
    server.close();
    server.closeAllConnections();
  }
});

test('metrics are told once for all who ask in the same turn, and anew for those who ask later', async () => {
  const metrics = new Metrics('control');
  let told = 0;
  metrics.addSource(() => `told ${++told}\n`);
  const server = await serveObservability({
    port: 0,
    metrics,
    notReady: () => undefined,
    role: 'control',
    log: silentLogger,
  });
  const { port } = server.address() as { port: number };
  try {
    assert.deepEqual(new Set(await Promise.all(Array.from({ length: 100 }, () => metrics.text()))).size, 1);
    assert.equal(told, 1);
    const reply = await fetch(`http://127.0.0.1:${port}/metrics`);
    assert.match(await reply.text(), /^told 2$/m);
  } finally {
    server.close();
    server.closeAllConnections();
  }
});
