/** What a broker holds for its peers is bounded, whatever they do. */
import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { writeKnown } from './known.ts';
import { removeDir, testDir, triggerTo } from './testing/fixture.ts';

const mebibyte = 2 ** 20;
const event = 'ce-specversion: 1.0\r\nce-id: 1\r\nce-source: /s\r\nce-type: t\r\n';
const post = (length: number) => `POST /default/b HTTP/1.1\r\nHost: b\r\n${event}Content-Length: ${length}\r\n\r\n`;

describe('the memory of a broker', { timeout: 300_000 }, () => {
  test('pipelined requests whose answers are never read', async (t) => {
    const broker = await startChild(t);
    const small = 'GET / HTTP/1.1\r\nHost: b\r\n\r\n'.repeat(2000);
    const events = `${post(10)}0123456789`.repeat(400);
    const clients = Array.from({ length: 60 }, (_, i) => flood(t, broker.port, i % 2 ? small : events, 6 * mebibyte));
    const growth = await broker.growthUnder(clients);
    assert.ok(growth < 150 * mebibyte, `it grew by ${growth} bytes`);
  });

  test('bodies that come byte by byte, and then stop', async (t) => {
    const broker = await startChild(t);
    const head = `POST /default/b HTTP/1.1\r\nHost: b\r\n${event}Transfer-Encoding: chunked\r\n\r\n`;
    const clients = Array.from({ length: 20 }, () => {
      const client = flood(t, broker.port, '1\r\nx\r\n'.repeat(10_000), 600_000);
      return client;
    });
    for (const client of clients) client.socket.write(head);
    const growth = await broker.growthUnder(clients);
    assert.ok(growth < 150 * mebibyte, `it grew by ${growth} bytes`);
  });

  test('subscribers that say a megabyte with each refusal, of events that then wait', async (t) => {
    let answered = 0;
    const refusal = Buffer.concat([
      Buffer.from(`HTTP/1.1 503 No\r\ncontent-length: ${mebibyte}\r\nconnection: close\r\n\r\n`),
      Buffer.alloc(mebibyte),
    ]);
    const server = createServer((socket) => {
      socket.on('error', () => {}); // The broker may end the connection as it likes.
      socket.once('data', () => socket.end(refusal, () => answered++));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    const broker = await startChild(t, `http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    for (let i = 0; i < 400; i++) {
      const headers = { 'ce-specversion': '1.0', 'ce-id': `${i}`, 'ce-source': '/s', 'ce-type': 't' };
      const answer = await fetch(`http://127.0.0.1:${broker.port}/default/b`, { method: 'POST', headers });
      assert.equal(answer.status, 202);
    }
    const growth = await broker.growthUnder([{ taken: () => answered }]);
    assert.ok(answered >= 400, `${answered} were answered`);
    assert.ok(growth < 250 * mebibyte, `it grew by ${growth} bytes`);
  });
});

interface Progress {
  /** Of a client, what the broker's side has taken; -1 when the connection is over. */
  taken(): number;
}

/** A client that writes `text` again and again, up to `bytesMax`, and never reads. */
function flood(t: TestContext, port: number, text: string, bytesMax: number): Progress & { socket: Socket } {
  const socket = connect(port, '127.0.0.1');
  t.after(() => socket.destroy());
  socket.pause();
  socket.on('error', () => {}); // The broker may end the connection as it likes.
  let written = 0;
  const more = () => {
    while (written < bytesMax && !socket.destroyed) {
      written += text.length;
      if (!socket.write(text)) return;
    }
  };
  socket.on('drain', more);
  socket.on('connect', more);
  return { socket, taken: () => (socket.destroyed ? -1 : socket.bytesWritten - socket.writableLength) };
}

async function startChild(t: TestContext, subscriber?: string) {
  const dir = await testDir();
  const delivery = { retries: 9, policy: 'linear', delayMs: 60_000, delayMaxMs: 60_000 } as const;
  const times = { timeoutMs: 60_000, retryAfterMaxMs: 0, format: 'binary' } as const;
  await writeKnown(join(dir, 'known.json'), {
    brokers: [{ namespace: 'default', name: 'b', uid: 'uid-of-b' }],
    triggers: [triggerTo(subscriber, { delivery: { ...delivery, ...times } })],
  });
  const child = fork(join(import.meta.dirname, 'testing', 'crash-child.ts'), [dir], { execArgv: [] });
  t.after(async () => {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    await removeDir(dir);
  });
  const [{ port }] = (await once(child, 'message')) as [{ port: number }];
  const before = await rssOf(child);
  return {
    port,
    /** The most that the process grew by, until nothing moves any more. */
    async growthUnder(clients: readonly Progress[]): Promise<number> {
      let most = 0;
      let quiet = 0;
      let last = '';
      while (quiet < 20) {
        await pause(10);
        most = Math.max(most, await rssOf(child));
        const taken = clients.map((client) => client.taken()).join();
        quiet = taken === last ? quiet + 1 : 0;
        last = taken;
      }
      return most - before;
    },
  };
}

async function rssOf(child: ChildProcess): Promise<number> {
  const answer = once(child, 'message') as Promise<[{ rssBytes: number }]>;
  child.send({});
  return (await answer)[0].rssBytes;
}
