/** What a peer can make the client hold, and for how long, is bounded whatever it answers. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { ByteBudget } from '../lib/byte-budget.ts';
import { NoReplyError, UnsendableError } from '../lib/http-client.ts';
import { type HttpReply, Poster, type PostOptions, targetOf } from './poster.ts';

const options: PostOptions = { timeoutMs: 20_000, bodyBytesMax: 100_000 };

/** Posts to a peer that does with each connection what `answer` does; `atEnd` runs before the poster is closed. */
async function postTo(
  answer: (socket: Socket) => void,
  change: Partial<PostOptions> = {},
  { body = Buffer.from('x'), atEnd = async () => {} } = {},
): Promise<HttpReply | Error> {
  const server = createServer((socket) => {
    socket.on('error', () => {}); // The client ends it as it likes.
    answer(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const poster = new Poster();
  const target = targetOf(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`, {});
  const result = await poster.post(target, [], body, { ...options, ...change }).catch((error: Error) => error);
  await atEnd();
  const closed = once(server, 'close');
  poster.close();
  server.close();
  await closed;
  return result;
}

/** Writes `text` again and again, for as long as the other side takes it. */
function endlessly(socket: Socket, text: string): void {
  const more = () => {
    while (!socket.destroyed && socket.write(text)) {
      // What is taken at once is not waited for.
    }
  };
  socket.on('drain', more);
  more();
}

const onRequest = (socket: Socket, then: () => void) => socket.once('data', then);

test('replies that never come to an end are given up, each with its reason', async () => {
  const table: [what: string, first: string, again: string, reason: RegExp][] = [
    ['1xx replies', '', 'HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n', /more than 32 interim replies \(1xx\)/],
    ['100 replies', '', 'HTTP/1.1 100 Continue\r\n\r\n', /more than 32 interim replies \(1xx\)/],
    ['headers', 'HTTP/1.1 200 OK\r\n', 'x: y\r\n', /Header overflow/i],
    ['one header', 'HTTP/1.1 200 OK\r\nx: ', 'y'.repeat(100), /Header overflow/i],
    ['garbage', '', 'garbage ', /Parse Error|Expected HTTP/i],
  ];
  for (const [what, first, again, reason] of table) {
    const result = await postTo((socket) => {
      socket.write(first);
      onRequest(socket, () => endlessly(socket, again));
    });
    assert.ok(result instanceof NoReplyError, what);
    assert.match(result.message, reason, what);
  }
});

test('of a body without an end, what is asked for is read', async () => {
  for (const head of ['HTTP/1.1 200 OK\r\n\r\n', 'HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n']) {
    const result = await postTo((socket) => {
      socket.write(head);
      onRequest(socket, () => endlessly(socket, 'x'.repeat(1000)));
    });
    assert.ok('isCut' in result && result.isCut);
    assert.equal(result.body.length, 100_000);
  }
});

test('an upgrade that nobody asked for, and a connection that ends too soon, are no replies', async () => {
  for (const text of [
    'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n',
    '',
    'HTTP/1.1 2',
  ]) {
    const result = await postTo((socket) => onRequest(socket, () => socket.end(text)));
    assert.ok(result instanceof NoReplyError, text);
  }
});

test('a body that stops half way ends at the timeout', async () => {
  const result = await postTo(
    (socket) => onRequest(socket, () => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf')),
    { timeoutMs: 50 },
  );
  assert.ok(result instanceof NoReplyError);
  assert.equal(result.code, 'TIMEOUT');
});

test('a peer that answers without reading the request does not have it kept for it', async () => {
  const isClosed = Promise.withResolvers<void>();
  let peer: Socket | undefined;
  // It does not read, so only its writes tell that the connection is no more: once the reply was taken.
  const atEnd = async () => {
    const timer = setInterval(() => peer?.write('x'), 5);
    await isClosed.promise;
    clearInterval(timer);
  };
  const result = await postTo(
    (socket) => {
      peer = socket;
      socket.pause();
      socket.on('close', () => isClosed.resolve());
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
    },
    {},
    { body: Buffer.alloc(32 * 1024 * 1024), atEnd },
  );
  assert.ok('status' in result && result.status === 200);
});

test('replies that are on their way share a budget, which they give back', async () => {
  const budget = new ByteBudget(1000);
  assert.ok(budget.tryTake(900));
  const answer = (length: number) => (socket: Socket) =>
    onRequest(socket, () => socket.end(`HTTP/1.1 200 OK\r\ncontent-length: ${length}\r\n\r\n${'x'.repeat(length)}`));
  const small = await postTo(answer(50), { budget });
  assert.ok('status' in small && small.body.length === 50);
  const large = await postTo(answer(200), { budget });
  assert.ok(large instanceof NoReplyError);
  assert.match(large.message, /too many at once/);
  assert.equal(budget.held, 900);
});

test('what cannot be a header is an error of that post alone', async () => {
  const poster = new Poster();
  const target = targetOf('http://127.0.0.1:1/', {});
  for (const headers of [
    ['x', '€'],
    ['x', 'a\r\nb: c'],
    ['x y', 'z'],
    ['', 'z'],
  ]) {
    await assert.rejects(poster.post(target, headers, undefined, options), UnsendableError, headers.join());
  }
  poster.close();
});
