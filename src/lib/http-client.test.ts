import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { createServer as createHttpServer, type RequestListener } from 'node:http';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { discard, readBody, readSome, readWhole } from './http-body.ts';
import { HttpClient, type HttpRequest, NoReplyError, targetOf } from './http-client.ts';

describe('the HTTP client', () => {
  let client: HttpClient;
  const closers: (() => void)[] = [];
  beforeEach(() => {
    client = new HttpClient();
  });
  afterEach(() => {
    client.close();
    for (const close of closers.splice(0)) close();
  });

  async function listen(server: Server, where: number | string = 0): Promise<string> {
    const sockets = new Set<Socket>();
    server.on('connection', (socket: Socket) => {
      sockets.add(socket);
      socket.on('error', () => {}); // Of its own resets.
    });
    await new Promise<void>((resolve) =>
      typeof where === 'string' ? server.listen(where, resolve) : server.listen(where, '127.0.0.1', resolve),
    );
    closers.push(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    return typeof where === 'string' ? where : `http://127.0.0.1:${(server.address() as AddressInfo).port}/x?y=z`;
  }

  const serve = (listener: RequestListener) => listen(createHttpServer(listener));
  const raw = (act: (socket: Socket, text: string) => void) =>
    listen(createServer((socket) => socket.on('data', (bytes) => act(socket, String(bytes)))));

  const ask = (url: string, more: Partial<HttpRequest> = {}) =>
    client.send({ method: 'GET', target: targetOf(url), isRepeatable: true, ...more });

  const ok = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';
  const failsWith = (code: string, reached: string) => (error: unknown) => {
    assert.ok(error instanceof NoReplyError, String(error));
    assert.deepEqual([error.code, error.reached], [code, reached]);
    return true;
  };

  /** The connections to a server, by number, on which each request came; a connection is good for one. */
  async function oneRequestEach(): Promise<{ url: string; seen: string[] }> {
    const seen: string[] = [];
    let connections = 0;
    const server = createServer((socket) => {
      const number = ++connections;
      let requests = 0;
      socket.on('data', (bytes) => {
        seen.push(`${number} ${String(bytes).split(' ')[0]}`);
        if (requests++ === 0) socket.write(ok);
        else socket.resetAndDestroy();
      });
    });
    return { url: await listen(server), seen };
  }

  test('what may be repeated goes over a kept connection, and again over a new one when that had ended', async () => {
    const { url, seen } = await oneRequestEach();
    await readWhole(await ask(url), 10);
    const bodies: Partial<HttpRequest>[] = [
      { method: 'POST', body: Buffer.from('abc') },
      { method: 'PUT', body: () => Readable.from(['abc']), headers: ['content-length', '3'] },
    ];
    for (const body of bodies) {
      assert.equal(String(await readWhole(await ask(url, body), 10)), 'ok');
      await readWhole(await ask(url), 10);
    }
    const count = (text: string) => seen.filter((line) => line.endsWith(text)).length;
    assert.deepEqual([count('POST'), count('PUT')], [2, 2], seen.join());
  });

  test('what may not be repeated goes over a new connection, and is seen once', async () => {
    const { url, seen } = await oneRequestEach();
    await readWhole(await ask(url), 10);
    await readWhole(await ask(url, { method: 'POST', isRepeatable: false }), 10);
    assert.deepEqual(seen, ['1 GET', '2 POST']);
    const resetting = await raw((socket) => socket.resetAndDestroy());
    await assert.rejects(ask(resetting), failsWith('ECONNRESET', 'peer'), 'a new connection is not stale');
  });

  test('a connection is used again when its reply was read, or discarded', async () => {
    const ports = new Set<unknown>();
    const url = await serve((request, response) => {
      ports.add(request.socket.remotePort);
      response.end('x'.repeat(1000));
    });
    const read = [(r: never) => readWhole(r, 1000), (r: never) => readSome(r, 1000), (r: never) => discard(r)];
    for (const each of read) {
      const response = await ask(url);
      const isOver = new Promise((resolve) => response.on('end', resolve));
      await each(response as never);
      await isOver;
      await new Promise(setImmediate); // The connection is given back when its request is closed.
    }
    assert.equal(ports.size, 1);
  });

  test('connections to one peer are as many as they may be', async () => {
    const ports = new Set<unknown>();
    const url = await serve((request, response) => {
      ports.add(request.socket.remotePort);
      response.end('ok');
    });
    const bounded = new HttpClient({ connectionsMax: 2 });
    const one = async () =>
      readWhole(await bounded.send({ method: 'GET', target: targetOf(url), isRepeatable: true }), 10);
    await Promise.all(Array.from({ length: 8 }, one));
    bounded.close();
    assert.equal(ports.size, 2);
  });

  test('who was not reached has seen nothing', async () => {
    const gone = createServer();
    const url = await listen(gone);
    await new Promise((resolve) => gone.close(resolve));
    await assert.rejects(ask(url), failsWith('ECONNREFUSED', 'nobody'));
    const plain = await raw(() => {});
    const tls = plain.replace('http:', 'https:');
    await assert.rejects(ask(tls, { headMs: 20 }), failsWith('TIMEOUT', 'nobody'));
  });

  test('each deadline gives up what it is of', async () => {
    const silent = await raw(() => {});
    await assert.rejects(ask(silent, { headMs: 5 }), failsWith('TIMEOUT', 'peer'));
    await assert.rejects(ask(silent, { wholeMs: 5 }), failsWith('TIMEOUT', 'peer'));
    await assert.rejects(ask(silent, { silenceMs: 5 }), failsWith('TIMEOUT', 'peer'));
    const once = await raw((socket, text) => text.startsWith('GET /x') && socket.write(ok));
    await readWhole(await ask(once), 10);
    const again = { method: 'POST', target: { ...targetOf(once), path: '/again' }, wholeMs: 5 };
    await assert.rejects(ask(once, again), failsWith('TIMEOUT', 'peer'), 'a kept connection reaches the peer');
    const half = await raw((socket) => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf'));
    for (const bound of [{ wholeMs: 50 }, { silenceMs: 50 }]) {
      const response = await ask(half, { headMs: 10_000, ...bound });
      await assert.rejects(readWhole(response, 10), failsWith('TIMEOUT', 'peer'));
      const some = await ask(half, bound);
      assert.equal(await readSome(some, 10), 'half');
    }
    const response = await ask(half, { headMs: 20 });
    await new Promise((resolve) => setTimeout(resolve, 40));
    assert.equal(response.destroyed, false, 'a head that came in time is not waited for');
    response.destroy();
  });

  test('a stream that takes long to send is no slow reply', async () => {
    const url = await serve((request, response) => request.resume().on('end', () => response.end('ok')));
    async function* slowly() {
      yield 'ab';
      await new Promise((resolve) => setTimeout(resolve, 600));
      yield 'c';
    }
    const body = () => Readable.from(slowly());
    const response = await ask(url, { method: 'PUT', body, headers: ['content-length', '3'], headMs: 500 });
    assert.equal(String(await readWhole(response, 10)), 'ok');
    const early = await serve((request, response) => {
      response.write('o');
      request.resume().on('end', () => setTimeout(() => response.end('k'), 100));
    });
    const begun = await ask(early, { method: 'PUT', body, headers: ['content-length', '3'], headMs: 20 });
    assert.equal(String(await readWhole(begun, 10)), 'ok', 'a reply that began before the stream was sent has begun');
  });

  test('a stream that fails fails its request', async () => {
    const url = await raw(() => {});
    const body = () =>
      new Readable({
        read() {
          this.destroy(new Error('the disk is gone'));
        },
      });
    await assert.rejects(ask(url, { method: 'PUT', body, headers: ['content-length', '3'] }), /the disk is gone/);
  });

  test('a stream whose reply comes too early is not read on', async () => {
    const url = await raw((socket) => socket.end('HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno'));
    const stream = new Readable({ read() {} });
    stream.push('a');
    const isClosed = new Promise((resolve) => stream.on('close', resolve));
    const response = await ask(url, { method: 'PUT', body: () => stream, headers: ['content-length', '3'] });
    assert.equal(await readSome(response, 10), 'no');
    await isClosed;
  });

  test('whoever loses interest ends the request, or the reply', async () => {
    const silent = await raw(() => {});
    const early = AbortSignal.abort(new Error('changed my mind'));
    await assert.rejects(ask(silent, { signal: early }), failsWith('ABORTED', 'nobody'));
    const half = await raw((socket) => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf'));
    const late = new AbortController();
    const response = await ask(half, { signal: late.signal });
    late.abort(new Error('changed my mind'));
    await assert.rejects(readWhole(response, 10), /changed my mind/);
    const still = new AbortController();
    const whole = await ask(await serve((_request, response) => response.end('ok')), { signal: still.signal });
    const isClosed = new Promise((resolve) => whole.on('close', resolve));
    await readWhole(whole, 10);
    await isClosed;
    await new Promise(setImmediate); // The request is closed after its reply.
    assert.equal(getEventListeners(still.signal, 'abort').length, 0, 'a signal that lives on keeps no request');
  });

  test('a reply that ended before it was read is an error, not a wait', async () => {
    const url = await raw((socket) => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf'));
    const response = await ask(url);
    response.destroy();
    await new Promise((resolve) => response.on('close', resolve));
    await assert.rejects(readBody(response, 10), failsWith('NO_REPLY', 'peer'));
  });

  test('a body is read up to its bound', async () => {
    const url = await serve((_request, response) => response.end('0123456789'));
    const { bytes, isCut } = await readBody(await ask(url), 4);
    assert.deepEqual([String(bytes), isCut], ['0123', true]);
    await assert.rejects(readWhole(await ask(url), 9), /the reply is longer than 9 bytes/);
    assert.equal(String(await readWhole(await ask(url), 10)), '0123456789');
  });

  test('a URL says whom to dial and what to ask for; another may be dialled in its place', async () => {
    const common = { path: '/a?b=c', authority: '[::1]:8443' };
    assert.deepEqual(targetOf('https://[::1]:8443/a?b=c'), { ...common, isTls: true, host: '::1', port: 8443 });
    const dialled = { isTls: false, host: 'gateway', port: 80 };
    assert.deepEqual(targetOf('https://[::1]:8443/a?b=c', { dial: 'http://gateway' }), { ...common, ...dialled });
    const server = createHttpServer((request, response) => response.end(request.headers.host));
    const socketPath = await listen(server, join(tmpdir(), `kittiwake-http-${process.pid}.sock`));
    const response = await ask('http://name/', { target: { ...targetOf('http://name/'), socketPath } });
    assert.equal(String(await readWhole(response, 10)), 'name');
  });
});
