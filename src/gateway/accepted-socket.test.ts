import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { it } from 'node:test';
import { readBuffer, readInto } from './accepted-socket.ts';

it('an accepted socket reads into the shared memory on this runtime, and its server still closes', async () => {
  const server = createServer({ allowHalfOpen: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const client = connect(typeof address === 'object' && address !== null ? address.port : 0, '127.0.0.1');
  const [accepted] = (await once(server, 'connection')) as [Socket];
  let isShared = false;
  const bytes = new Promise<string>((resolve) => {
    const socket = readInto(accepted, (read) => {
      isShared = read.buffer === readBuffer.buffer;
      resolve(read.toString());
    });
    socket.on('end', () => socket.end('bye'));
  });
  client.write('hello');
  assert.equal(await bytes, 'hello');
  assert.ok(isShared);
  client.end();
  const [reply] = await once(client, 'data');
  assert.equal(String(reply), 'bye');
  await new Promise((resolve) => server.close(resolve));
});
