import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import type { Server, ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { describe, test } from 'node:test';
import { createServer } from './node-http.ts';

describe('requests that one connection sends without waiting', () => {
  for (const [what, request] of [
    ['are as they should be', 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['name no host, which Node answers by itself', 'GET / HTTP/1.1\r\n\r\n'],
    ['expect what nobody knows, which Node answers by itself', 'GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n'],
  ] as const) {
    test(`that ${what} are made into no more than may wait, however many come at once`, async () => {
      const server = createServer({ pipelinedMax: 5 }, () => {}); // Answers nobody.
      let made = 0;
      const count = (message: unknown) => {
        if ((message as { server: Server }).server === server) made++;
      };
      subscribe('http.server.request.start', count);
      const socket = await connected(server);
      try {
        socket.write(request.repeat(1_500));
        await once(socket, 'close');
        assert.ok(made >= 1 && made <= 6, `${made} were made`);
      } finally {
        unsubscribe('http.server.request.start', count);
        socket.destroy();
        server.close();
      }
    });
  }

  test('may be many, when their answers are taken', async () => {
    const server = createServer({ pipelinedMax: 5 }, (_request, response) => response.end('ok'));
    const socket = await connected(server);
    let text = '';
    socket.on('data', (data) => {
      text += data;
    });
    const answers = () => text.split('HTTP/1.1 200').length - 1;
    for (let sent = 5; sent <= 50; sent += 5) {
      socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(5));
      while (answers() < sent) await once(socket, 'data');
    }
    assert.equal(socket.closed, false);
    socket.destroy();
    server.close();
  });

  test('wait for the one that is answered late, and are answered after it', async () => {
    const waiting: ServerResponse[] = [];
    const all = Promise.withResolvers<void>();
    const server = createServer({ pipelinedMax: 5 }, (_request, response) => {
      if (waiting.push(response) === 5) all.resolve();
    });
    const socket = await connected(server);
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(5));
    await all.promise;
    for (const [i, response] of waiting.entries()) response.end(`answer ${i}`);
    let text = '';
    while (!text.includes('answer 4')) text += (await once(socket, 'data'))[0];
    assert.match(text, /answer 0[\s\S]*answer 1[\s\S]*answer 4/);
    socket.destroy();
    server.close();
  });
});

async function connected(server: Server) {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  socket.on('error', () => {}); // Being cut off may come as a reset.
  await once(socket, 'connect');
  socket.on('data', () => {});
  return socket;
}
