/**
 * Peers that never read, and peers that never stop: what the gateway holds for them is bounded. Each flood would come
 * to several times the margin if it were kept.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, it } from 'node:test';
import { type ChildGateway, startChildGateway } from './testing/child-gateway.ts';
import { type Origin, onHeads, RawClient, requestText, startRawOrigin, statusOf } from './testing/fixture.ts';
import { flood } from './testing/flood.ts';

const mebibyte = 2 ** 20;
/** For the garbage of a busy process: growth without a bound is a multiple of it. */
const marginBytes = 160 * mebibyte;
/** More than the kernel keeps for two connections. */
const bytesMax = 64 * mebibyte;

const times = (text: string, bytes: number) => Buffer.from(text.repeat(Math.ceil(bytes / text.length)), 'latin1');

describe('the memory of the gateway', () => {
  const open: { destroy(): void }[] = [];
  let gateway: ChildGateway | undefined;
  let origin: Origin | undefined;

  afterEach(async () => {
    for (const socket of open.splice(0)) socket.destroy();
    await gateway?.kill();
    origin?.close();
    gateway = undefined;
    origin = undefined;
  });

  /** A client that never reads. */
  async function deafClient(port: number): Promise<Socket> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    socket.on('error', () => {}); // The gateway may cut it off, which is one of the two right ends.
    open.push(socket);
    await once(socket, 'connect');
    return socket;
  }

  async function start(onConnection: (socket: Socket) => void): Promise<ChildGateway> {
    origin = await startRawOrigin(undefined, onConnection);
    gateway = await startChildGateway([origin.port]);
    return gateway;
  }

  it('is bounded for pipelined requests that it answers itself', async () => {
    const child = await start(() => {});
    const socket = await deafClient(child.port);
    const piece = times('GET / HTTP/1.1\r\nHost: nobody\r\n\r\n', 256 * 1024);
    assert.ok((await flood(child, [socket], piece, bytesMax)) < marginBytes);
    assert.ok(socket.bytesWritten < bytesMax, 'it has stopped reading from who does not read');
  });

  it('is bounded for pipelined requests that a revision answers', async () => {
    const reply = `HTTP/1.1 200 OK\r\nContent-Length: 8192\r\n\r\n${'x'.repeat(8192)}`;
    const child = await start((socket) => onHeads(socket, () => socket.write(reply)));
    const socket = await deafClient(child.port);
    assert.ok((await flood(child, [socket], times(requestText('GET /'), 64 * 1024), bytesMax)) < marginBytes);
    assert.ok(socket.bytesWritten < bytesMax);
  });

  it('is bounded for many clients at once', async () => {
    const child = await start(() => {});
    const sockets = await Promise.all(Array.from({ length: 60 }, () => deafClient(child.port)));
    const piece = times('GET / HTTP/1.1\r\nHost: nobody\r\n\r\n', 64 * 1024);
    assert.ok((await flood(child, sockets, piece, 8 * mebibyte)) < marginBytes);
  });

  const endless: [name: string, head: string, piece: string][] = [
    ['interim replies', '', 'HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n'],
    ['a reply with a length', 'HTTP/1.1 200 OK\r\nContent-Length: 9007199254740991\r\n\r\n', 'x'.repeat(1024)],
    ['a reply until the connection closes', 'HTTP/1.1 200 OK\r\n\r\n', 'x'.repeat(1024)],
    ['a reply in chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', '4\r\nabcd\r\n'],
    ['a reply in chunks with extensions', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', '3;a\r\nabc\r\n'],
    ['trailers', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n', 'A: b\r\n'],
    ['a head', 'HTTP/1.1 200 OK\r\n', 'A: b\r\n'],
    ['a switched protocol', 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n', 'x'.repeat(1024)],
  ];
  for (const [name, head, piece] of endless) {
    it(`is bounded for ${name} without end, to a client that does not read`, async () => {
      const answered = Promise.withResolvers<Socket>();
      const child = await start((socket) => onHeads(socket, () => answered.resolve(socket)));
      const client = await deafClient(child.port);
      const more = name === 'a switched protocol' ? 'Connection: upgrade\r\nUpgrade: x\r\n' : '';
      client.write(requestText('GET /', more));
      const socket = await answered.promise;
      socket.write(head);
      assert.ok((await flood(child, [socket], times(piece, 64 * 1024), bytesMax)) < marginBytes);
      assert.ok(socket.destroyed || socket.readableEnded || socket.bytesWritten < bytesMax);
    });
  }

  it('is bounded for interim replies to a client that reads: too many are a bad reply', async () => {
    const child = await start((socket) =>
      onHeads(socket, () => socket.write(times('HTTP/1.1 102 Processing\r\n\r\n', mebibyte))),
    );
    const client = new RawClient(child.port).request('GET /');
    const text = await client.ended();
    const final = text.slice(text.lastIndexOf('HTTP/1.1 '));
    assert.equal(statusOf(final), 502, final);
    assert.match(final, /more than 64 interim replies/);
    assert.equal(text.split('HTTP/1.1 102').length - 1, 64);
  });

  it('is bounded for a request body that the revision does not read, whether it replies early or not', async () => {
    for (const early of ['', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab']) {
      const child = await start((socket) => {
        socket.once('data', () => {
          socket.pause();
          socket.write(early);
        });
      });
      const client = await deafClient(child.port);
      client.write(requestText('POST /', 'Content-Length: 9007199254740991\r\n'));
      assert.ok((await flood(child, [client], times('x', 64 * 1024), bytesMax)) < marginBytes);
      assert.ok(client.bytesWritten < bytesMax);
      await child.kill();
      origin?.close();
    }
  });

  it('is bounded for a switched protocol whose other side does not read', async () => {
    const child = await start((socket) => {
      socket.once('data', () => {
        socket.pause();
        socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n');
      });
    });
    const client = new RawClient(child.port).request('GET /', 'Connection: upgrade\r\nUpgrade: x\r\n');
    open.push(client.socket);
    await client.untilHas('101 Switching');
    assert.ok((await flood(child, [client.socket], times('x', 64 * 1024), bytesMax)) < marginBytes);
    assert.ok(client.socket.bytesWritten < bytesMax);
  });

  it('is bounded for requests that wait for a pod', async () => {
    gateway = await startChildGateway([]);
    const child = gateway;
    const sockets = await Promise.all(Array.from({ length: 100 }, () => deafClient(child.port)));
    for (const socket of sockets) socket.write(requestText('POST /', 'Content-Length: 9007199254740991\r\n'));
    assert.ok((await flood(child, sockets, times('x', 64 * 1024), 8 * mebibyte)) < marginBytes);
  });
});
