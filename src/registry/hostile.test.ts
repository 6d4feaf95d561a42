import assert from 'node:assert/strict';
import { createServer, type RequestListener, type Server } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterEach, describe, test } from 'node:test';
import { digestOf } from './digest.ts';
import { type Credentials, RegistryClient, type RegistryClientOptions } from './index.ts';
import { mediaTypes } from './manifest.ts';

describe('a hostile registry', () => {
  const closers: (() => void)[] = [];
  afterEach(() => {
    for (const close of closers.splice(0)) close();
  });

  function clientOf(options: RegistryClientOptions = {}): RegistryClient {
    const client = new RegistryClient({ timeouts: { idleMs: 200, answerMs: 300, transferMs: 400 }, ...options });
    closers.push(() => client.close());
    return client;
  }

  async function listen(server: Server | ReturnType<typeof createTcpServer>): Promise<string> {
    server.listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    closers.push(() => {
      if ('closeAllConnections' in server) server.closeAllConnections();
      server.close();
    });
    return `127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  const serve = (listener: RequestListener) => listen(createServer(listener));

  async function raw(talk: (socket: Socket) => void): Promise<string> {
    const sockets = new Set<Socket>();
    const server = createTcpServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.once('data', () => talk(socket));
    });
    const host = await listen(server);
    closers.push(() => {
      for (const socket of sockets) socket.destroy();
    });
    return host;
  }

  /** Writes `part` as fast as it is read, until the peer goes. */
  function pour(socket: Socket, part: string): void {
    const more = () => {
      while (!socket.destroyed && socket.write(part));
      if (!socket.destroyed) socket.once('drain', more);
    };
    more();
  }

  /** Writes `part` so often that no connection is idle, until the peer goes. */
  function trickle(socket: Socket, part: string): void {
    const timer = setInterval(() => socket.write(part), 20);
    socket.on('close', () => clearInterval(timer));
  }

  const ok = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n';
  const endless = `${ok}transfer-encoding: chunked\r\n\r\n`;
  const chunk = `1000\r\n${'x'.repeat(0x1000)}\r\n`;

  test('who never answers, or answers without an end, is given up, and the error says who', async () => {
    const peers: Record<string, (socket: Socket) => void> = {
      'says nothing': () => {},
      'trickles its head': (socket) => {
        socket.write('HTTP/1.1 200 OK\r\n');
        trickle(socket, 'a: b\r\n');
      },
      'pours its head': (socket) => {
        socket.write('HTTP/1.1 200 OK\r\n');
        pour(socket, `a: ${'x'.repeat(1000)}\r\n`);
      },
      'says nothing but that it goes on': (socket) => trickle(socket, 'HTTP/1.1 102 Processing\r\n\r\n'),
      'trickles its body': (socket) => {
        socket.write(endless);
        trickle(socket, '1\r\nx\r\n');
      },
      'pours its body': (socket) => {
        socket.write(endless);
        pour(socket, chunk);
      },
      'breaks off': (socket) => socket.end(`${ok}content-length: 100\r\n\r\n{`),
      'is no HTTP': (socket) => socket.end('SSH-2.0-OpenSSH\r\n'),
    };
    for (const [does, talk] of Object.entries(peers)) {
      const host = await raw(talk);
      const client = clientOf();
      const digest = digestOf('x');
      await assert.rejects(client.manifest(`${host}/a/b:v1`), new RegExp(`${host}/a/b`), does);
      await assert.rejects(
        (async () => buffer(await client.blob(`${host}/a/b`, digest, undefined, 10_000)))(),
        new RegExp(host),
        `${does}, for a blob`,
      );
    }
  });

  test('an answer that nobody reads is read to its end, or not for long', async () => {
    for (const status of ['200 OK', '302 Found\r\nlocation: /v2/a/b/manifests/v2', '401 No']) {
      let closed: Promise<unknown> = Promise.resolve();
      let hasTalked = false;
      const host = await raw((socket) => {
        if (hasTalked) return void socket.end('HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n');
        hasTalked = true;
        closed = new Promise((resolve) => socket.on('close', resolve));
        socket.write(`HTTP/1.1 ${status}\r\ntransfer-encoding: chunked\r\n\r\n`);
        pour(socket, chunk);
      });
      const body = { descriptor: { mediaType: mediaTypes.layerTar, digest: digestOf('x'), size: 1 } };
      const pushed = clientOf().pushBlob(`${host}/a/b`, { ...body, content: Buffer.from('x') });
      await pushed.catch(() => undefined /* it is refused, or not */);
      const asked = clientOf().hasManifest(`${host}/a/b:v1`);
      await asked.catch(() => undefined /* the same */);
      await clientOf()
        .manifest(`${host}/a/b:v1`)
        .catch(() => undefined /* the same */);
      await closed;
    }
  });

  test('redirects end, lead nowhere but by HTTP, and take no password along', async () => {
    const seen: string[] = [];
    const elsewhere = await serve((request, response) => {
      seen.push(String(request.headers.authorization));
      response.writeHead(404).end();
    });
    let to = '';
    const host = await serve((_request, response) => void response.writeHead(307, { location: to }).end());
    const client = clientOf({ auth: () => ({ username: 'kit', password: 'wake' }) });
    const table: [string, RegExp][] = [
      [`http://HOST/v2/a/b/manifests/v1`, /too many redirects/],
      ['/v2/a/b/manifests/v1', /too many redirects/],
      ['file:///etc/passwd', /it sends us to file:.*not followed/],
      ['ftp://example.com/x', /it sends us to ftp:/],
      ['data:application/json,{}', /it sends us to data:/],
      ['http://[', /it sends us to "http:\/\/\[": not followed/],
      ['http://127.0.0.1:99999/', /not followed/],
      [`http://${elsewhere}/x`, /404/],
    ];
    for (const [location, message] of table) {
      to = location.replace('HOST', host);
      await assert.rejects(client.manifest(`${host}/a/b:v1`), (error: Error) => {
        assert.match(error.message, message);
        assert.ok(error.message.includes(`${host}/a/b`), error.message);
        return true;
      });
    }
    assert.deepEqual(seen, ['undefined']);
  });

  test('whatever a registry asks for before it answers, the answer is an error that names it', async () => {
    const credentials: Credentials = { username: 'kit', password: 'wake' };
    let header = '';
    let token: RequestListener = (_request, response) => void response.end('{}');
    const host = await serve((request, response) => {
      if (request.url?.startsWith('/token')) return token(request, response);
      response.writeHead(401, { 'www-authenticate': header }).end();
    });
    const realm = `Bearer realm="http://${host}/token"`;
    const challenges = [
      ...['', 'Bearer', 'Bearer realm=""', 'Bearer realm="file:///etc"', 'Bearer realm="http://["', 'Negotiate'],
      ...['Bearer realm="http://127.0.0.1:1/"', `Bearer ${'a'.repeat(9000)}`, `Bearer ${'a=b,'.repeat(2000)}`, 'Basic'],
      ...[`${',  '.repeat(2000)}x`, realm, `Bearer realm="\\\\\\"`, 'Bearer __proto__="x"'],
    ];
    for (header of challenges) {
      const client = clientOf({ auth: () => credentials });
      await assert.rejects(client.resolve(`${host}/a/b:v1`), new RegExp(`${host}/a/b`), header.slice(0, 40));
    }
    header = realm;
    const answers: Record<string, RequestListener> = {
      'never answers': () => {},
      trickles: (_request, response) => {
        response.writeHead(200);
        const timer = setInterval(() => response.write(' '), 20);
        response.on('close', () => clearInterval(timer));
      },
      'is endless': (_request, response) => {
        response.writeHead(200);
        pour(response as never, 'x'.repeat(4096));
      },
      ...Object.fromEntries(
        ['null', '[]', '5', '{', '{"token":5}', '{"token":"a\\r\\nb: c"}', '{"token":"€"}', '{"token":""}'].map(
          (text) => [text, ((_request, response) => void response.end(text)) as RequestListener],
        ),
      ),
      'is long': (_request, response) => void response.end(JSON.stringify({ token: 'x'.repeat(100_000) })),
    };
    for (const [does, answer] of Object.entries(answers)) {
      token = answer;
      await assert.rejects(clientOf().resolve(`${host}/a/b:v1`), new RegExp(`${host}/a/b`), does);
    }
  });

  test('what a registry says of itself is not believed', async () => {
    let reply: RequestListener = () => {};
    const host = await serve((request, response) => reply(request, response));
    const manifest =
      (value: unknown): RequestListener =>
      (_request, response) =>
        void response.end(typeof value === 'string' ? value : JSON.stringify(value));
    const layer = { mediaType: mediaTypes.layerTar, digest: digestOf('x'), size: 1 };
    const image = { schemaVersion: 2, layers: [layer] };
    const wrong: unknown[] = [
      ...['', '{', 'null', '[]', '<html>', '['.repeat(100_000), ' '.repeat(5_000_000)],
      ...[{}, { schemaVersion: 1 }, { schemaVersion: { toString: 5 } }, { ...image, layers: {} }],
      ...[
        { ...image, layers: [null] },
        { ...image, layers: [{ ...layer, digest: 'sha256:../../x' }] },
      ],
      ...[
        { ...image, layers: [{ ...layer, digest: { toString: 1 } }] },
        { ...image, layers: [{ ...layer, size: -1 }] },
      ],
      ...[
        { ...image, layers: [{ ...layer, size: 1e300 }] },
        { ...image, mediaType: 5 },
        { ...image, mediaType: 'a\r\nb' },
      ],
      ...[
        { ...image, annotations: { a: 5 } },
        { ...image, annotations: [] },
        { ...image, artifactType: {} },
      ],
      ...[
        { ...image, config: [] },
        { ...image, subject: 'x' },
        { ...image, layers: [{ ...layer, platform: 5 }] },
      ],
    ];
    for (const value of wrong) {
      reply = manifest(value);
      const text = JSON.stringify(value).slice(0, 80);
      await assert.rejects(clientOf().manifest(`${host}/a/b:v1`), new RegExp(`${host}/a/b`), text);
    }
    reply = (_request, response) => void response.end('more than was said');
    const blob = async () => buffer(await clientOf().blob(`${host}/a/b`, digestOf('more than was said'), undefined, 5));
    await assert.rejects(blob(), /more than the 5 bytes/);
    const errors = [
      'null',
      '{"errors":5}',
      '{"errors":[null]}',
      '{"errors":[{"code":{},"message":[]}]}',
      'x'.repeat(1e6),
    ];
    for (const text of errors) {
      reply = (_request, response) => void response.writeHead(500).end(text);
      await assert.rejects(clientOf().manifest(`${host}/a/b:v1`), /500.*no reason given/, text.slice(0, 40));
    }
    const shout = JSON.stringify({ errors: [{ code: 'DENIED', message: `\u001b[2J\n${'x'.repeat(5000)}` }] });
    reply = (_request, response) => void response.writeHead(403).end(shout);
    await assert.rejects(clientOf().manifest(`${host}/a/b:v1`), (error: Error) => {
      assert.match(error.message, /403 DENIED: {2}\[2J x+$/);
      return error.message.length < 1500;
    });
  });

  test('an upload that is not read, or answered before it was, leaves no stream open', async () => {
    const peers: ((socket: Socket) => void)[] = [
      (socket) => socket.pause(),
      (socket) => socket.write('HTTP/1.1 500 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n'),
      (socket) => socket.destroy(),
    ];
    for (const talk of peers) {
      const host = await raw((socket) => {
        socket.write('HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n');
        socket.once('data', () => {
          socket.write('HTTP/1.1 202 Accepted\r\nlocation: /upload\r\ncontent-length: 0\r\n\r\n');
          socket.once('data', () => talk(socket));
        });
      });
      const size = 50_000_000;
      const opened: Readable[] = [];
      const content = () => {
        const stream = Readable.from(
          (function* () {
            for (let sent = 0; sent < size; sent += 65536) yield Buffer.alloc(65536);
          })(),
        );
        opened.push(stream);
        return stream;
      };
      const descriptor = { mediaType: mediaTypes.layerTar, digest: digestOf('x'), size };
      await assert.rejects(clientOf().pushBlob(`${host}/a/b`, { descriptor, content }), new RegExp(host));
      assert.ok(opened.length > 0);
      await Promise.all(
        opened.map((stream) => stream.closed || new Promise((resolve) => stream.once('close', resolve))),
      );
    }
  });
});
