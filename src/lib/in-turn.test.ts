import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { inTurn } from './in-turn.ts';
import { createServer } from './node-http.ts';

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;

/** A server that answers everything but /hold, and what it has begun to answer. */
async function serve(t: TestContext): Promise<{ client: Socket; begun: string[]; closed: Promise<void> }> {
  const begun: string[] = [];
  const server: Server = createServer({}, (request, response) => {
    const answer = async () => {
      begun.push(request.url ?? '');
      if (request.url !== '/hold') response.end();
    };
    inTurn(request.socket, response, answer).catch((error) => response.destroy(error));
  });
  const closed = new Promise<void>((resolve) => {
    server.once('connection', (socket) => socket.once('close', () => resolve()));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  client.on('error', () => {}); // Being cut off is what one of the tests is about.
  t.after(() => {
    client.destroy();
    server.close();
    server.closeAllConnections();
  });
  return { client, begun, closed };
}

test('what is pipelined is answered in its order', async (t) => {
  const { client, begun } = await serve(t);
  client.write(get('/1') + get('/2') + get('/3'));
  let received = '';
  for await (const chunk of client) {
    received += chunk;
    if (received.split('HTTP/1.1 200').length === 4) break;
  }
  assert.deepEqual(begun, ['/1', '/2', '/3']);
});

test('behind a reply that does not end no other is begun, and who asks for too many is cut off', async (t) => {
  const { client, begun, closed } = await serve(t);
  client.write(get('/hold') + get('/1').repeat(20));
  await closed;
  assert.deepEqual(begun, ['/hold']);
});
