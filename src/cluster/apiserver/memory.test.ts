/** The memory of an API server is bounded whatever its clients do; it runs in a process of its own, which is asked. */
import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect as connectHttp2 } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { fileURLToPath } from 'node:url';
import type { Ask } from './testing/server-process.ts';

const mebi = 1024 * 1024;
const program = fileURLToPath(new URL('./testing/server-process.ts', import.meta.url));

/** What the server may grow by in each of these tests: its caches have a bound of their own, well below. */
const growthMax = 300 * mebi;

describe('the memory of an API server', { timeout: 300_000 }, () => {
  test('one large object that changes again and again', async (t) => {
    const server = await startServer(t);
    await server.ask({ ask: 'update', name: 'big', times: 5, bytes: 0.9 * mebi });
    const before = await server.memory();
    await server.ask({ ask: 'update', name: 'big', times: 350, bytes: 0.9 * mebi });
    await holds(server, before);
  });

  test('watches that are never read', async (t) => {
    const server = await startServer(t);
    await server.ask({ ask: 'update', name: 'big', times: 5, bytes: 0.5 * mebi });
    const before = await server.memory();
    await server.ask({ ask: 'watch', count: 20 });
    const sockets = await Promise.all(Array.from({ length: 20 }, () => silentClient(t, server)));
    for (const socket of sockets) socket.write(get('/api/v1/configmaps?watch=1'));
    const sessions = Array.from({ length: 5 }, () => silentSession(t, server));
    for (const session of sessions) {
      for (let i = 0; i < 10; i++) session.request({ ':path': '/api/v1/configmaps?watch=1' }).on('error', () => {});
    }
    await server.ask({ ask: 'update', name: 'big', times: 300, bytes: 0.5 * mebi });
    await holds(server, before);
  });

  test('pipelined requests for a large list whose answers are never read', async (t) => {
    const server = await startServer(t);
    await server.ask({ ask: 'fill', prefix: 'm', count: 100, bytes: 0.2 * mebi });
    const before = await server.memory();
    const sockets = await Promise.all(Array.from({ length: 10 }, () => silentClient(t, server)));
    for (const socket of sockets) socket.write(get('/api/v1/configmaps').repeat(50));
    for (let i = 0; i < 5; i++) {
      const session = silentSession(t, server);
      for (let j = 0; j < 20; j++) session.request({ ':path': '/api/v1/configmaps' }).on('error', () => {});
    }
    await server.ask({ ask: 'update', name: 'other', times: 20, bytes: 10 });
    await holds(server, before);
  });

  test('requests without end behind a watch', async (t) => {
    const server = await startServer(t);
    const before = await server.memory();
    const sockets = await Promise.all(Array.from({ length: 4 }, () => silentClient(t, server)));
    for (const socket of sockets) {
      socket.write(get('/api/v1/configmaps?watch=1'));
      for (let sent = 0; sent < 32 * mebi && !socket.destroyed; sent += mebi) {
        const text = get('/healthz').repeat(mebi / get('/healthz').length);
        if (!socket.write(text)) await Promise.race([once(socket, 'drain'), once(socket, 'close'), server.memory()]);
      }
    }
    await holds(server, before);
  });

  test('logs that are followed and never read', async (t) => {
    const server = await startServer(t);
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'p' },
      spec: { containers: [{ name: 'c', image: 'i' }] },
    };
    const writer = await silentClient(t, server);
    const body = JSON.stringify(pod);
    writer.write(
      `POST /api/v1/namespaces/default/pods HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n` +
        `Content-Length: ${body.length}\r\n\r\n${body}`,
    );
    writer.resume();
    await once(writer, 'data');
    const before = await server.memory();
    const sockets = await Promise.all(Array.from({ length: 20 }, () => silentClient(t, server)));
    for (const socket of sockets) socket.write(get('/api/v1/namespaces/default/pods/p/log?follow=1'));
    for (let i = 0; i < 20; i++) await server.memory();
    await holds(server, before);
  });
});

interface Server {
  url: URL;
  dataDir: string;
  ask(message: Ask): Promise<unknown>;
  memory(): Promise<number>;
}

async function startServer(t: TestContext): Promise<Server> {
  const dataDir = await mkdtemp(join(tmpdir(), 'kittiwake-memory-'));
  const child = fork(program, [dataDir], { execArgv: ['--expose-gc'] });
  child.setMaxListeners(0); // One for each question that is on its way.
  t.after(async () => {
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
    await rm(dataDir, { recursive: true, force: true });
  });
  const url = new URL(String(await answerOf(child)));
  const ask = (message: Ask) => {
    child.send(message);
    return answerOf(child);
  };
  const memory = async () => Number(await ask({ ask: 'memory' }));
  return { url, dataDir, ask, memory };
}

function answerOf(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const onExit = () => reject(new Error('the server has died'));
    child.once('exit', onExit);
    child.once('message', (message: { result?: unknown; error?: string }) => {
      child.off('exit', onExit);
      if (message.error === undefined) resolve(message.result);
      else reject(new Error(message.error));
    });
  });
}

async function holds(server: Server, before: number): Promise<void> {
  const grown = (await server.memory()) - before;
  assert.ok(grown < growthMax, `the server has grown by ${Math.round(grown / mebi)} MiB`);
}

function credentials({ dataDir }: Server) {
  const read = (name: string) => readFileSync(join(dataDir, 'pki', name));
  return { ca: read('ca.crt'), cert: read('admin.crt'), key: read('admin.key') };
}

/** A connection that reads nothing after the handshake. */
async function silentClient(t: TestContext, server: Server): Promise<TLSSocket> {
  const socket = connectTls({ host: '127.0.0.1', port: Number(server.url.port), ...credentials(server) });
  t.after(() => socket.destroy());
  socket.on('error', () => {}); // The server may well end it.
  await once(socket, 'secureConnect');
  socket.pause();
  return socket;
}

/** HTTP/2 whose streams are never read. */
function silentSession(t: TestContext, server: Server) {
  const session = connectHttp2(server.url, credentials(server));
  t.after(() => session.destroy());
  session.on('error', () => {});
  return session;
}

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;

const once = (emitter: NodeJS.EventEmitter, event: string) =>
  new Promise<void>((resolve) => emitter.once(event, () => resolve()));
