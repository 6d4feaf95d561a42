import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';
import { routesOf, startHttpOrigin, startRawOrigin, startTestGateway, statusOf } from './testing/fixture.ts';

const tooLarge = 'HTTP/1.1 413 Content Too Large\r\nContent-Length: 9\r\nConnection: close\r\n\r\ntoo large';
const size = 20_000_000;

describe('a revision that replies before it has taken the whole request', () => {
  const endings: [name: string, answer: (socket: Socket) => void][] = [
    ['closes with bytes unread', (socket) => socket.end(tooLarge, () => socket.destroy())],
    ['resets', (socket) => socket.write(tooLarge, () => socket.resetAndDestroy())],
    ['reads on and ends', (socket) => socket.end(tooLarge)],
    [
      'replies in two parts and closes',
      (socket) => {
        socket.write(tooLarge.slice(0, 20));
        setImmediate(() => socket.end(tooLarge.slice(20), () => socket.destroy()));
      },
    ],
  ];
  for (const [name, answer] of endings) {
    for (const framing of ['length', 'chunked']) {
      it(`and then ${name} has its reply delivered (${framing})`, async (t) => {
        const origin = await startRawOrigin(t, (socket) => {
          socket.once('data', () => {
            if (!name.startsWith('reads')) socket.pause();
            answer(socket);
          });
        });
        const gateway = await startTestGateway(t, routesOf([origin.port]));
        for (let round = 0; round < 4; round++) {
          const client = gateway.connect();
          if (framing === 'length') {
            client.request('POST /', `Content-Length: ${size}\r\n`, 'x'.repeat(size));
          } else {
            client.request('POST /', 'Transfer-Encoding: chunked\r\n');
            for (let at = 0; at < size; at += 1 << 20) client.send(`100000\r\n${'x'.repeat(1 << 20)}\r\n`);
          }
          const text = await client.ended();
          assert.equal(statusOf(text), 413, text);
          assert.match(text, /\r\nConnection: close\r\n[\s\S]*too large$/);
        }
      });
    }
  }

  it('as a node:http server does it has its reply delivered', async (t) => {
    const origin = await startHttpOrigin(t, (incoming, response) => {
      incoming.once('data', () => {
        response.writeHead(413, { connection: 'close', 'content-length': 9 });
        response.end('too large', () => incoming.socket.destroySoon());
      });
    });
    const gateway = await startTestGateway(t, routesOf([origin.port]));
    for (let round = 0; round < 4; round++) {
      const client = gateway.connect();
      client.request('POST /', `Content-Length: ${size}\r\n`, 'x'.repeat(size));
      const text = await client.ended();
      assert.equal(statusOf(text), 413, text);
      assert.match(text, /too large$/);
    }
  });

  it('but closes without one is a bad gateway, with the reason', async (t) => {
    const origin = await startRawOrigin(t, (socket) => {
      socket.once('data', () => {
        socket.pause();
        socket.resetAndDestroy();
      });
    });
    const gateway = await startTestGateway(t, routesOf([origin.port]));
    const client = gateway.connect();
    client.request('POST /', `Content-Length: ${size}\r\n`, 'x'.repeat(size));
    const text = await client.ended();
    assert.equal(statusOf(text), 502);
    assert.match(text, /EPIPE|ECONNRESET|closed/);
  });
});
