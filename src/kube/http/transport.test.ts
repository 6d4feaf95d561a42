import assert from 'node:assert/strict';
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { startListener } from '../../cluster/apiserver/http/listener.ts';
import { openApiServer } from '../../cluster/apiserver/index.ts';
import { systemClock } from '../../lib/clock.ts';
import { KittiwakeError } from '../../lib/errors.ts';
import { silentLogger } from '../../observe/log.ts';
import type { Connection } from './connection.ts';
import { httpTransport } from './http-client.ts';
import { type ApiRequest, Transport, type TransportOptions } from './transport.ts';

const listen = async (server: Server, port = 0): Promise<number> => {
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
};

const to = (port: number): Connection => ({ server: `http://127.0.0.1:${port}` });

const isUnreachable = (reason: RegExp) => (error: unknown) => {
  assert.ok(error instanceof KittiwakeError, String(error));
  assert.equal(error.code, 'API_UNREACHABLE');
  assert.match(error.message, reason);
  return true;
};

/** A server that does with each request what `act` says, given the connection and how many came on it before. */
async function withRawServer(
  act: (socket: Socket, before: number, head: string) => void,
  use: (port: number, seen: string[]) => Promise<void>,
): Promise<void> {
  const sockets = new Set<Socket>();
  const seen: string[] = [];
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {}); // Of its own resets.
    let before = 0;
    let text = '';
    socket.on('data', (bytes) => {
      text += String(bytes);
      const [head = '', body = ''] = text.split('\r\n\r\n');
      const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
      if (!text.includes('\r\n\r\n') || body.length < length) return;
      text = '';
      seen.push(head.split(' HTTP')[0] ?? '');
      act(socket, before++, head);
    });
  });
  const port = await listen(server);
  try {
    await use(port, seen);
  } finally {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
}

const answer = (socket: Socket, body = '{}') =>
  socket.write(`HTTP/1.1 200 OK\r\nconnection: keep-alive\r\ncontent-length: ${body.length}\r\n\r\n${body}`);

const requests: ApiRequest[] = [
  { method: 'GET', path: '/x' },
  { method: 'PUT', path: '/x', body: { a: 1 } },
  { method: 'DELETE', path: '/x', body: { kind: 'DeleteOptions' } },
  { method: 'PATCH', path: '/x', body: { a: 1 }, contentType: 'application/merge-patch+json' },
  { method: 'PATCH', path: '/x', body: [], contentType: 'application/json-patch+json' },
  { method: 'POST', path: '/x', body: { a: 1 } },
];

describe('a connection that the server has closed', () => {
  for (const request of requests) {
    const what = `${request.method} ${request.contentType ?? ''}`.trim();
    test(`does not fail a ${what}, however many such connections are kept`, async () => {
      // Each connection is good for one request, and the client learns of it only when it sends the next.
      const act = (socket: Socket, before: number) => {
        if (before === 0) answer(socket);
        else socket.resetAndDestroy();
      };
      await withRawServer(act, async (port, seen) => {
        const transport = new Transport(async () => to(port));
        const get: ApiRequest = { method: 'GET', path: '/warm' };
        await Promise.all([1, 2, 3, 4].map(() => transport.json(get)));
        assert.deepEqual(await transport.json(request), {});
        const times = seen.filter((line) => line === `${request.method} /x`).length;
        const isRepeatable = request.method !== 'POST' && request.contentType !== 'application/json-patch+json';
        assert.equal(times, isRepeatable ? 2 : 1, 'what may not be sent twice is not');
      });
    });
  }

  test('is no reason to send anything again when it was new', async () => {
    await withRawServer(
      (socket) => socket.resetAndDestroy(),
      async (port, seen) => {
        for (const request of requests) {
          await assert.rejects(new Transport(async () => to(port)).json(request), isUnreachable(/ECONNRESET|hang up/));
        }
        assert.equal(seen.length, requests.length);
      },
    );
  });
});

describe('credentials and places that change', () => {
  async function withTokenServer(use: (port: number, tokens: (string | undefined)[]) => Promise<void>) {
    const tokens: (string | undefined)[] = [];
    const server = createHttpServer((request: IncomingMessage, response: ServerResponse) => {
      tokens.push(request.headers.authorization);
      response.writeHead(request.headers.authorization === 'Bearer new' ? 200 : 401).end('{}');
    });
    const port = await listen(server);
    try {
      await use(port, tokens);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  }

  test('a token that was replaced is read again, and the request sent once more with it', async () => {
    await withTokenServer(async (port, tokens) => {
      let token = 'old';
      const transport = new Transport(async () => ({ ...to(port), token }));
      await assert.rejects(transport.json({ method: 'GET', path: '/' }), { code: 401 });
      assert.deepEqual(tokens, ['Bearer old'], 'with the same token it would be refused again');
      await assert.rejects(transport.json({ method: 'GET', path: '/' }), { code: 401 });
      tokens.length = 0;
      // As a file that is written while the client has read it already.
      let reads = 0;
      const rotating = new Transport(async () => ({ ...to(port), token: reads++ === 0 ? 'old' : 'new' }));
      assert.deepEqual(await rotating.json({ method: 'POST', path: '/', body: {} }), {});
      assert.deepEqual(tokens, ['Bearer old', 'Bearer new']);
      token = 'new';
      assert.deepEqual(await transport.json({ method: 'GET', path: '/' }), {});
    });
  });

  test('a server that came back on another port is found by the request that misses it', async () => {
    await withTokenServer(async (port) => {
      const gone = createServer();
      const gonePort = await listen(gone);
      await new Promise((resolve) => gone.close(resolve));
      let reads = 0;
      const transport = new Transport(async () => ({ ...to(reads++ === 0 ? gonePort : port), token: 'new' }));
      assert.deepEqual(await transport.json({ method: 'POST', path: '/', body: {} }), {});
    });
  });

  test('a server that came back with other certificates is found once the kubeconfig has them', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'kittiwake-rotation-'));
    const kubeconfigPath = join(folder, 'kubeconfig');
    const transport = httpTransport({ kubeconfigPath });
    const version = () => transport.json({ method: 'GET', path: '/version' });
    let port = 0;
    try {
      for (const name of ['first', 'second']) {
        const common = { dataDir: join(folder, name), clock: systemClock, log: silentLogger };
        const server = await openApiServer({ ...common, kinds: [] });
        const listener = await startListener({ ...common, pipeline: server.pipeline, port });
        try {
          port = Number(new URL(listener.url).port);
          // The old certificates do not do, and the error says which server it was.
          if (name === 'second') await assert.rejects(version(), isUnreachable(new RegExp(`127.0.0.1:${port}`)));
          await copyFile(listener.kubeconfigPath, kubeconfigPath);
          assert.equal(typeof ((await version()) as { major: string }).major, 'string');
        } finally {
          await listener.stop();
          await server.stop();
        }
      }
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});

describe('a server that answers badly', () => {
  const ask = async (act: (socket: Socket) => void, options: TransportOptions, expected: RegExp) => {
    await withRawServer(act, async (port) => {
      const transport = new Transport(async () => to(port), options);
      await assert.rejects(transport.json({ method: 'GET', path: '/x' }), (error: Error) => {
        assert.match(error.message, expected);
        return true;
      });
    });
  };

  test('or never, is given up', () => ask(() => {}, { replyTimeoutMs: 5 }, /does not answer \(no reply within 5 ms\)/));

  test('and then falls silent, is given up', () =>
    ask(
      (socket) => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n{'),
      { replyTimeoutMs: 50 },
      /does not answer \(nothing came or went for 50 ms\)/,
    ));

  test('byte by byte, is given up', () =>
    ask(
      async (socket) => {
        socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n');
        while (!socket.destroyed) {
          socket.write('1');
          await setImmediate();
        }
      },
      { wholeReplyTimeoutMs: 20 },
      /does not answer \(no whole reply within 20 ms\)/,
    ));

  test('without end, is cut off', () =>
    ask(
      (socket) => {
        socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n');
        const more = () => {
          while (!socket.destroyed && socket.write(`10000\r\n${'x'.repeat(65_536)}\r\n`));
        };
        socket.on('drain', more);
        more();
      },
      { replyMaxBytes: 1 << 20 },
      /the reply is longer than 1048576 bytes/,
    ));

  test('with what is not JSON, is quoted', () =>
    ask((socket) => answer(socket, '<html>proxy</html>'), {}, /to GET \/x is not JSON: <html>proxy<\/html>/));

  test('with an error that is no Status, is quoted', () =>
    ask((socket) => socket.write('HTTP/1.1 502 Bad\r\ncontent-length: 4\r\n\r\nnull'), {}, /^null$/));

  test('with an error that breaks off, is told by its status', () =>
    ask((socket) => socket.end('HTTP/1.1 502 Bad\r\ncontent-length: 40\r\n\r\nhalf'), {}, /^half$/));
});
