import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { afterEach, describe, test } from 'node:test';
import { digestOf, RegistryClient, type RegistryClientOptions } from './index.ts';

describe('pulling from a registry that is not perfect', () => {
  const closers: (() => void)[] = [];
  afterEach(() => {
    for (const close of closers.splice(0)) close();
  });

  async function serve(listener: RequestListener): Promise<string> {
    const server = createServer(listener);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closers.push(() => {
      server.closeAllConnections();
      server.close();
    });
    return `127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  function clientOf(options: RegistryClientOptions = {}): RegistryClient {
    const client = new RegistryClient({ timeouts: { idleMs: 200, answerMs: 2_000, transferMs: 20_000 }, ...options });
    closers.push(() => client.close());
    return client;
  }

  const content = randomBytes(600_000);
  const digest = digestOf(content);

  /** Serves `content`, also in part, and cuts each answer off after `pieceBytes`, by `end`. */
  function cutting(pieceBytes: number, ranges: string[], end: (response: ServerResponse) => void): RequestListener {
    return (request, response) => {
      ranges.push(request.headers.range ?? 'all');
      const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
      const head = { 'content-length': content.length - start };
      if (start === 0) response.writeHead(200, head);
      else
        response.writeHead(206, { ...head, 'content-range': `bytes ${start}-${content.length - 1}/${content.length}` });
      const piece = content.subarray(start, start + pieceBytes);
      if (start + piece.length === content.length) response.end(piece);
      else response.write(piece, () => end(response));
    };
  }

  const hangUp = (response: ServerResponse) => void setImmediate(() => response.destroy());

  test('a blob that is cut off again and again comes whole, each byte asked for once', async () => {
    const ranges: string[] = [];
    const host = await serve(cutting(130_000, ranges, hangUp));
    assert.ok((await buffer(await clientOf().blob(`${host}/a/b`, digest))).equals(content));
    assert.ok(ranges.length >= 5, String(ranges));
    const starts = ranges.slice(1).map((range) => Number(/^bytes=(\d+)-$/.exec(range)?.[1]));
    assert.deepEqual(
      starts,
      [...starts].sort((a, b) => a - b),
    );
    assert.equal(ranges[0], 'all');
  });

  test('a registry that stalls is asked again for the rest', async () => {
    const ranges: string[] = [];
    const host = await serve(cutting(400_000, ranges, () => undefined));
    assert.ok((await buffer(await clientOf().blob(`${host}/a/b`, digest))).equals(content));
    assert.equal(ranges.length, 2);
  });

  test('one that knows no ranges gives it all once more, and what was there is left out', async () => {
    let asked = 0;
    const host = await serve((_request, response) => {
      response.writeHead(200, { 'content-length': content.length });
      if (++asked === 3) response.end(content);
      else response.write(content.subarray(0, 200_000 * asked), () => hangUp(response));
    });
    assert.ok((await buffer(await clientOf().blob(`${host}/a/b`, digest))).equals(content));
    assert.equal(asked, 3);
  });

  test('one that never gets further is given up', async () => {
    const ranges: string[] = [];
    const host = await serve(cutting(0, ranges, hangUp));
    await assert.rejects(
      clientOf({ timeouts: { idleMs: 200, answerMs: 500, transferMs: 3_000 } })
        .blob(`${host}/a/b`, digest)
        .then(buffer),
      new RegExp(`${host}/a/b: ${digest}`),
    );
    assert.ok(ranges.length >= 2 && ranges.length <= 6, String(ranges.length));
  });

  test('one that gives another part than was asked for, or other bytes, is refused', async () => {
    const shifted = await serve((request, response) => {
      if (request.headers.range === undefined) {
        response.writeHead(200, { 'content-length': content.length });
        response.write(content.subarray(0, 100_000), () => hangUp(response));
      } else {
        response.writeHead(206, { 'content-range': `bytes 7-${content.length - 1}/${content.length}` });
        response.end(content.subarray(7));
      }
    });
    const client = clientOf({ timeouts: { idleMs: 200, answerMs: 500, transferMs: 3_000 } });
    await assert.rejects(client.blob(`${shifted}/a/b`, digest).then(buffer), /follows byte \d+, it gave "bytes 7-/);
    const other = Buffer.from(content);
    other[599_999] = (other[599_999] ?? 0) ^ 1;
    let asked = 0;
    const lying = await serve((_request, response) => {
      asked++;
      response.end(other);
    });
    await assert.rejects(client.blob(`${lying}/a/b`, digest).then(buffer), /the content has the digest/);
    assert.equal(asked, 1, 'what is not the content is not asked for again');
  });

  test('a registry that has too much to do is asked again, and one that says no is not', async () => {
    let asked = 0;
    let status = 503;
    const host = await serve((_request, response) => {
      if (++asked < 3) response.writeHead(status).end();
      else response.end(content);
    });
    assert.ok((await buffer(await clientOf().blob(`${host}/a/b`, digest))).equals(content));
    asked = 0;
    status = 404;
    await assert.rejects(clientOf().blob(`${host}/a/b`, digest), /404/);
    assert.equal(asked, 1);
  });

  test('an aborted pull ends, and the connection with it', async () => {
    const closed = Promise.withResolvers<void>();
    const host = await serve((request, response) => {
      request.on('close', () => closed.resolve());
      response.write(content.subarray(0, 100_000));
    });
    const aborting = new AbortController();
    const stream = await clientOf({ timeouts: {} }).blob(`${host}/a/b`, digest, aborting.signal);
    const reading = assert.rejects(buffer(stream), /aborted/i);
    aborting.abort();
    await reading;
    await closed.promise;
  });

  test('a blob store that a registry sends us to gets the range, and not the password', async () => {
    const seen: IncomingMessage['headers'][] = [];
    const parts = cutting(400_000, [], hangUp);
    const store = await serve((request, response) => {
      seen.push(request.headers);
      parts(request, response);
    });
    const host = await serve((request, response) => {
      if (request.headers.authorization === undefined) {
        response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
      } else response.writeHead(307, { location: `http://${store}/signed?by=me` }).end();
    });
    const client = clientOf().as({ username: 'kit', password: 'wake' });
    assert.ok((await buffer(await client.blob(`${host}/a/b`, digest))).equals(content));
    assert.deepEqual(
      seen.map(({ authorization, range }) => [authorization, range?.replace(/\d+/, 'N')]),
      [
        [undefined, undefined],
        [undefined, 'bytes=N-'],
      ],
    );
  });

  describe('with tokens', () => {
    let granted: string[] = [];
    let revoked = new Set<string>();

    /** Asks for a token that names its owner. */
    async function tokenRegistry(): Promise<string> {
      granted = [];
      revoked = new Set();
      const host: string = await serve(async (request, response) => {
        const { authorization = '' } = request.headers;
        const url = new URL(request.url ?? '/', 'http://127.0.0.1');
        if (url.pathname === '/token') {
          const form = new URLSearchParams((await buffer(request)).toString());
          const who =
            form.get('refresh_token') ?? Buffer.from(authorization.slice(6), 'base64').toString().split(':')[0];
          const token = `${who || 'nobody'}-${granted.length}`;
          granted.push(token);
          response.end(JSON.stringify({ token, expires_in: 300 }));
        } else if (authorization.startsWith('Bearer ') && !revoked.has(authorization.slice(7))) {
          if (authorization.startsWith('Bearer nobody')) response.writeHead(403).end();
          else response.writeHead(200, { 'docker-content-digest': digest }).end();
        } else {
          const challenge = `Bearer realm="http://${host}/token",service="test",scope="repository:a/b:pull"`;
          response.writeHead(401, { 'www-authenticate': challenge }).end();
        }
      });
      return host;
    }

    test('one identity does not use what another was given', async () => {
      const host = await tokenRegistry();
      const client = clientOf();
      const kit = client.as({ username: 'kit', password: 'wake' });
      await kit.resolve(`${host}/a/b:v1`);
      await assert.rejects(client.as(undefined).resolve(`${host}/a/b:v1`), /403/);
      await client.as({ username: 'kit', password: 'wake' }).resolve(`${host}/a/b:v1`);
      await client.as({ username: 'tiwake', password: 'x' }).resolve(`${host}/a/b:v1`);
      assert.deepEqual(granted, ['kit-0', 'nobody-1', 'tiwake-2']);
    });

    test('whose it is may be looked up for each repository', async () => {
      const host = await tokenRegistry();
      const asked: string[] = [];
      const auth = async (of: string, name: string) => {
        asked.push(`${of}/${name}`);
        return { username: 'found', password: 'x' };
      };
      await clientOf({ auth }).resolve(`${host}/a/b:v1`);
      assert.deepEqual([granted, asked], [['found-0'], [`${host}/a/b`]]);
    });

    test('a token that is taken back is asked for anew', async () => {
      const host = await tokenRegistry();
      const client = clientOf().as({ username: 'kit', password: 'wake' });
      await client.resolve(`${host}/a/b:v1`);
      revoked.add('kit-0');
      await client.resolve(`${host}/a/b:v1`);
      assert.deepEqual(granted, ['kit-0', 'kit-1']);
    });

    test('an identity token is what access tokens are given for', async () => {
      const host = await tokenRegistry();
      const client = clientOf().as({ username: '', password: '', identityToken: 'secret-of-kit' });
      await client.resolve(`${host}/a/b:v1`);
      assert.deepEqual(granted, ['secret-of-kit-0']);
    });
  });

  test('only this machine, and who is named, is asked without TLS', async () => {
    const plain = await serve((_request, response) =>
      response.writeHead(200, { 'docker-content-digest': digest }).end(),
    );
    assert.equal(await clientOf().resolve(`${plain}/a/b:v1`), digest);
    for (const host of ['127.0.0.1.example.invalid:1', '127.example.invalid', 'localhost.example.invalid']) {
      await assert.rejects(clientOf().resolve(`${host}/a/b:v1`), /HEAD https:/, host);
    }
    const named = clientOf({ plainHttpHosts: ['registry.example.invalid:5000'] });
    await assert.rejects(named.resolve('registry.example.invalid:5000/a/b:v1'), /HEAD http:/);
    await assert.rejects(named.resolve('registry.example.invalid/a/b:v1'), /HEAD https:/);
  });
});
