import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { type FunctionFolder, openFunctionFolder } from './testing/running.ts';

/** A request over a socket of its own; resolves with all that came until the peer closed, and how it closed. */
async function exchange(
  url: string,
  send: (socket: Socket) => void,
): Promise<{ text: string; error: string | undefined }> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  let text = '';
  let error: string | undefined;
  socket.setEncoding('latin1');
  socket.on('data', (chunk) => {
    text += chunk;
  });
  socket.on('error', (reason: NodeJS.ErrnoException) => {
    error = reason.code ?? reason.message;
  });
  const closed = new Promise((resolve) => socket.on('close', resolve));
  await once(socket, 'connect');
  send(socket);
  await closed;
  return { text, error };
}

describe('the runtime under hostile requests and functions', () => {
  let folder: FunctionFolder;
  before(async () => {
    folder = await openFunctionFolder();
  });
  after(() => folder.remove());

  const isWell = async (url: string) => {
    const reply = await fetch(`${url}/ok`, { headers: { connection: 'close' } });
    assert.equal(reply.status, 200, await reply.text());
  };

  test('who sends more than the limit, in any way, gets to read 413 with the limit', async () => {
    const running = await folder.start('export const handle = () => "x";');
    const total = 24 * 1024 * 1024;
    const block = Buffer.alloc(64 * 1024, 'x');
    /** Sends the whole body, as the gateway does, and reads only then. */
    const pour = (head: string, frame: (part: Buffer) => Buffer, end: string) => (socket: Socket) => {
      socket.pause();
      socket.write(head);
      let sent = 0;
      const more = () => {
        while (sent < total && !socket.destroyed) {
          sent += block.length;
          if (!socket.write(frame(block))) return void socket.once('drain', more);
        }
        socket.end(end);
        socket.resume();
      };
      more();
    };
    const chunk = (part: Buffer) =>
      Buffer.concat([Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from('\r\n')]);
    const start = 'POST / HTTP/1.1\r\nhost: a\r\n';
    try {
      const ways: Record<string, (socket: Socket) => void> = {
        'a length known in advance': pour(`${start}content-length: ${total}\r\n\r\n`, (part) => part, ''),
        chunks: pour(`${start}transfer-encoding: chunked\r\n\r\n`, chunk, '0\r\n\r\n'),
      };
      for (const [way, send] of Object.entries(ways)) {
        const { text, error } = await exchange(running.url, send);
        assert.equal(error, undefined, way);
        assert.match(text, /^HTTP\/1\.1 413 [\s\S]*longer than 16777216 bytes \(FUNC_BODY_LIMIT\)/, way);
      }
      await isWell(running.url);
    } finally {
      await running.stop();
    }
  });

  test('who waits for the word to go on is refused before it sends', async () => {
    const running = await folder.start('export const handle = () => "x";');
    try {
      const head = 'POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 99999999\r\n\r\n';
      const { text } = await exchange(running.url, (socket) => socket.write(head));
      assert.match(text, /^HTTP\/1\.1 413 /, 'and not 100');
    } finally {
      await running.stop();
    }
  });

  test('who never stops sending is cut off', async () => {
    const running = await folder.start('export const handle = () => "x";', { env: { FUNC_BODY_LIMIT: '1000' } });
    try {
      const block = `10000\r\n${'x'.repeat(0x10000)}\r\n`;
      const { text } = await exchange(running.url, (socket) => {
        socket.write('POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n');
        const more = () => {
          while (!socket.destroyed && socket.write(block));
          if (!socket.destroyed) socket.once('drain', more);
        };
        more();
      });
      assert.match(text, /^(HTTP\/1\.1 413 |$)/);
      await isWell(running.url);
    } finally {
      await running.stop();
    }
  });

  test('whatever a function throws or returns is the failure of that request, and said in the log', async () => {
    const running = await folder.start(`
    import { Readable } from 'node:stream';
    const circle = {}; circle.self = circle;
    const trap = new Proxy({}, { get() { throw new Error('trapped'); }, has() { throw 1; }, ownKeys() { throw 2; },
      getPrototypeOf() { throw new Error('trapped'); }, getOwnPropertyDescriptor() { throw 3; } });
    const mute = { toString() { throw new Error('mute'); }, get stack() { throw new Error('mute'); },
      [Symbol.for('nodejs.util.inspect.custom')]() { throw new Error('mute'); } };
    const revoked = Proxy.revocable({}, {}); revoked.revoke();
    const deep = () => { let list = []; for (let i = 0; i < 100_000; i++) list = [list]; return list; };
    class Sly extends Error { get message() { throw new Error('sly'); } statusCode = 418; }
    const replies = {
      throwsUndefined: () => { throw undefined; },
      throwsNull: () => { throw null; },
      throwsProxy: () => { throw trap; },
      throwsRevoked: () => { throw revoked.proxy; },
      throwsMute: () => { throw mute; },
      throwsSymbol: () => { throw Symbol('s'); },
      throwsSly: () => { throw new Sly(); },
      rejects: () => Promise.reject(undefined),
      circle: () => circle,
      circleInBody: () => ({ statusCode: 200, body: circle }),
      deep,
      bigint: () => 10n,
      symbol: () => Symbol('s'),
      func: () => () => 1,
      proxy: () => trap,
      thenable: () => ({ then() { throw new Error('then'); } }),
      newlineInHeader: () => ({ headers: { 'set-cookie': 'a=1\\r\\nx: y' }, body: 'x' }),
      newlineInList: () => ({ headers: { 'set-cookie': ['a=1', 'b\\n'] }, body: 'x' }),
      euroInHeader: () => ({ headers: { 'x-a': '€' }, body: 'x' }),
      spaceInName: () => ({ headers: { 'x a': 'b' }, body: 'x' }),
      muteInHeader: () => ({ headers: { 'x-a': mute }, body: 'x' }),
      headersText: () => ({ headers: 'text', statusCode: 200 }),
      statusText: () => ({ statusCode: '200', body: 'x' }),
      statusInforms: () => ({ statusCode: 101 }),
      eventAttribute: () => ({ specversion: '1.0', id: '1', source: '/a', type: 't', 'bad name': 1 }),
      eventType: () => ({ specversion: '1.0', id: '1', source: '/a', type: 't', datacontenttype: 'a/b; x=€' }),
      eventTime: () => ({ specversion: '1.0', id: '1', source: '/a', type: 't', time: new Date(NaN) }),
      streamFails: () => Readable.from((function* () { yield 'a'; throw new Error('midway'); })()),
      streamInBody: () => ({ body: Readable.from((function* () { yield 'a'; throw new Error('midway'); })()) }),
    };
    export const handle = (context) => context.path === '/ok' ? 'ok' : replies[context.query.reply]();
    export const names = Object.keys(replies);`);
    try {
      const { names } = (await import(running.file)) as { names: string[] };
      assert.ok(names.length > 25);
      for (const name of names) {
        const reply = await fetch(`${running.url}/?reply=${name}`);
        const text = await reply.text();
        assert.deepEqual([name, reply.status, text], [name, 500, 'the function failed: its log says why\n']);
        await running.until(new RegExp(`ERROR GET /\\?reply=${name}: `)); // The log comes by a pipe of its own.
      }
      await isWell(running.url);
    } finally {
      assert.equal(await running.stop(), 0);
    }
  });

  test('the length and the connection are those of the reply, whatever headers a function passes on', async () => {
    const running = await folder.start(`
    const upstream = { 'content-length': '500', 'transfer-encoding': 'gzip, chunked', connection: 'close', 'x-a': 'b' };
    export const handle = ({ query }) => ({ headers: query.map ? new Headers(upstream) : upstream, body: 'ok' });`);
    try {
      for (const query of ['', '?map=1']) {
        const reply = await fetch(running.url + query);
        const header = (name: string) => reply.headers.get(name);
        assert.deepEqual(
          [reply.status, header('content-length'), header('transfer-encoding'), header('x-a'), await reply.text()],
          [200, '2', null, 'b', 'ok'],
        );
      }
    } finally {
      await running.stop();
    }
  });

  test('a rejection that nobody handles is said in the log, and the function goes on', async () => {
    const running = await folder.start(`
    export const handle = (context) => {
      if (context.path === '/ok') return 'ok';
      Promise.reject(context.path === '/undefined' ? undefined : new Error('left alone'));
      return 'answered';
    };`);
    try {
      for (const path of ['/error', '/undefined']) {
        assert.equal(await (await fetch(running.url + path)).text(), 'answered');
        await isWell(running.url);
      }
      await running.until(/ERROR .*rejection.*left alone[\s\S]*ERROR .*rejection.*undefined/);
    } finally {
      assert.equal(await running.stop(), 0);
    }
  });

  test('an exception outside of any request ends the process with 1, after it was said', async () => {
    const running = await folder.start(`
    export const handle = () => { setImmediate(() => { throw new Error('thrown later'); }); return 'answered'; };`);
    const [code] = await Promise.all([
      running.exited,
      fetch(running.url).catch(() => undefined /* it may be cut off */),
    ]);
    assert.equal(code, 1);
    await running.until(/FATAL .*thrown later/);
  });

  test('a request that the function never answers holds up no other', async () => {
    const running = await folder.start(
      "export const handle = (context) => context.path === '/never' ? new Promise(() => {}) : 'ok';",
    );
    const given = new AbortController();
    const never = fetch(`${running.url}/never`, { signal: given.signal }).catch(() => 'given up');
    await isWell(running.url);
    given.abort();
    assert.equal(await never, 'given up');
    assert.equal(await running.stop(), 0);
  });

  test('targets, methods and headers that a URL cannot hold reach the function, or are refused', async () => {
    const running = await folder.start(
      "export const handle = (context) => context.path === '/ok' ? 'ok' : context.path;",
    );
    try {
      const targets = [
        '//',
        '//[',
        '/%zz',
        '/%00',
        'http://',
        'http://[',
        '*',
        '/\xff',
        '/?a=%ff&__proto__=1',
        '/a//b/../c',
      ];
      for (const target of targets) {
        const method = target === '*' ? 'OPTIONS' : 'GET';
        const { text } = await exchange(running.url, (socket) =>
          socket.write(Buffer.from(`${method} ${target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n`, 'latin1')),
        );
        assert.match(text, /^HTTP\/1\.1 (200|400) /, target);
      }
      await isWell(running.url);
    } finally {
      await running.stop();
    }
  });
});
