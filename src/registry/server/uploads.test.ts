import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { VirtualClock } from '../../lib/virtual-clock.ts';
import { silentLogger } from '../../observe/log.ts';
import { digestOf } from '../digest.ts';
import { type RegistryOptions, type RunningRegistry, startRegistry } from './registry.ts';

describe('uploads that nobody finishes', () => {
  let dir: string;
  let clock: VirtualClock;
  let registry: RunningRegistry | undefined;

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'kw-uploads-'));
    clock = new VirtualClock(Date.now());
  });
  afterEach(async () => {
    await registry?.stop();
    await rm(dir, { recursive: true });
  });

  async function open(options: Partial<RegistryOptions> = {}): Promise<string> {
    await registry?.stop();
    registry = await startRegistry({ dir, port: 0, clock, log: silentLogger, ...options });
    return registry.url;
  }

  interface Answer {
    status: number;
    location: string;
    text: string;
  }

  async function send(method: string, url: string, body?: Buffer, headers = {}): Promise<Answer> {
    const init = { method, headers, ...(body === undefined ? {} : { body: new Uint8Array(body) }) };
    const reply = await fetch(url, { ...init, signal: AbortSignal.timeout(20_000) });
    return { status: reply.status, location: reply.headers.get('location') ?? '', text: await reply.text() };
  }

  const oneTurn = () => new Promise((resolve) => setTimeout(resolve, 5));

  const start = async (url: string, name = 'a/b') => {
    const { status, location, text } = await send('POST', `${url}/v2/${name}/blobs/uploads/`);
    assert.equal(status, 202, text);
    return url + location;
  };

  async function push(url: string, name = 'a/b'): Promise<number> {
    const content = randomBytes(100);
    const location = await start(url, name);
    await send('PATCH', location, content.subarray(0, 50));
    return (await send('PUT', `${location}?digest=${digestOf(content)}`, content.subarray(50))).status;
  }

  test('a thousand of them, in one repository or in many, leave room for a push and nothing on the disk', async () => {
    const url = await open();
    for (let i = 0; i < 1000; i += 50) {
      await Promise.all(Array.from({ length: 50 }, () => start(url)));
      await Promise.all(Array.from({ length: 50 }, (_, j) => start(url, `many/r${i + j}`)));
    }
    assert.equal(await push(url), 201);
    assert.equal(await push(url, 'many/r1'), 201);
    assert.equal(await push(url, 'other'), 201);
    assert.deepEqual((await readdir(join(dir, 'repositories'))).sort(), ['a', 'many', 'other']);
    assert.equal(existsSync(join(dir, 'repositories/many/r2')), false, 'who only asks leaves nothing');
  });

  test('those without bytes give way first, then those left longest, and never one that is at work', async () => {
    const url = await open({ limits: { sessionsMax: 3 } });
    const begin = async (text?: string) => {
      const location = await start(url);
      if (text !== undefined) assert.equal((await send('PATCH', location, Buffer.from(text))).status, 202);
      await clock.advance(1000);
      return location;
    };
    const isOpen = async (location: string) => (await send('GET', location)).status === 204;
    const [older, empty, newer] = [await begin('older'), await begin(), await begin('newer')];
    const busy = request(older, { method: 'PATCH', headers: { 'transfer-encoding': 'chunked' } });
    busy.write('!');
    const fourth = await begin('fourth');
    assert.deepEqual([await isOpen(empty), await isOpen(newer), await isOpen(fourth)], [false, true, true]);
    const fifth = await begin('fifth');
    assert.deepEqual([await isOpen(newer), await isOpen(fourth), await isOpen(fifth)], [false, true, true]);
    busy.end();
    const [reply] = await once(busy, 'response');
    assert.equal(reply.headers.range, '0-5', 'the oldest was at work all the time');
    reply.resume();
    await once(reply, 'close');
  });

  test('when all are at work the next is refused; a body that is too slow ends, and its place is free', async () => {
    const url = await open({ limits: { sessionsMax: 1 }, pace: { bytesMin: 100, everyMs: 60_000 } });
    const location = await start(url);
    const slow = request(location, { method: 'PATCH', headers: { 'transfer-encoding': 'chunked' } });
    const answered = once(slow, 'response');
    slow.write('x');
    while (!existsSync(join(dir, 'repositories/a/b/_uploads', location.split('/').at(-1) ?? ''))) await oneTurn();
    const refused = await send('POST', `${url}/v2/c/d/blobs/uploads/`);
    assert.deepEqual([refused.status, /1 uploads are at work/.test(refused.text)], [429, true]);
    await clock.advance(60_000);
    const [reply] = await answered;
    assert.equal(reply.statusCode, 408);
    assert.equal(await push(url, 'c/d'), 201);
    slow.destroy();
  });

  test('what they hold on the disk is bounded in all, and what an earlier run left counts', async () => {
    const limits = { totalBytesMax: 1000 };
    const first = await open({ limits });
    const left = new URL(await start(first)).pathname;
    assert.equal((await send('PATCH', first + left, randomBytes(600))).status, 202);
    const url = await open({ limits });
    const second = await start(url);
    assert.equal((await send('PATCH', second, randomBytes(600))).status, 202);
    assert.equal((await send('GET', url + left)).status, 404, 'it gave way');
    assert.equal((await send('PATCH', second, randomBytes(600))).status, 429, 'one alone may not take it all');
    assert.deepEqual(await readdir(join(dir, 'repositories/a/b/_uploads')), [second.split('/').at(-1)]);
  });

  test('those without bytes are given up after an hour, those with bytes after a day', async () => {
    const url = await open();
    const [empty, full] = [await start(url), await start(url)];
    await send('PATCH', full, Buffer.from('x'));
    const statuses = async () => [(await send('GET', empty)).status, (await send('GET', full)).status];
    await clock.advance(30 * 60_000);
    assert.deepEqual(await statuses(), [204, 204]);
    const swept = async (status: number, location: string) => {
      while ((await send('GET', location)).status !== status) await clock.advance(60_000);
    };
    await swept(404, empty);
    assert.deepEqual(await statuses(), [404, 204]);
    await clock.advance(24 * 3_600_000);
    await swept(404, full);
  });

  test('an upload whose file is gone does not become a blob with a hole', async () => {
    const url = await open();
    const content = randomBytes(100);
    const location = await start(url);
    await send('PATCH', location, content.subarray(0, 50));
    await rm(join(dir, 'repositories/a/b/_uploads', location.split('/').at(-1) ?? ''));
    const end = await send('PUT', `${location}?digest=${digestOf(content)}`, content.subarray(50));
    assert.equal(end.status, 500);
    assert.equal((await send('HEAD', `${url}/v2/a/b/blobs/${digestOf(content)}`)).status, 404);
  });

  test('a page of another site in a browser cannot open one, nor read or delete anything', async () => {
    const url = await open();
    const raw = (method: string, path: string, header: string) =>
      new Promise<number>((resolve, reject) => {
        const socket = connect(Number(new URL(url).port), '127.0.0.1');
        const host = new URL(url).host;
        socket.on('error', reject);
        socket.once('data', (data) => {
          resolve(Number(data.toString().slice(9, 12)));
          socket.destroy();
        });
        socket.write(`${method} ${path} HTTP/1.1\r\nhost: ${host}\r\n${header}\r\ncontent-length: 0\r\n\r\n`);
      });
    const stranger = ['origin: https://evil.example', 'origin: null', 'sec-fetch-site: cross-site'];
    for (const header of stranger) {
      assert.equal(await raw('POST', '/v2/a/b/blobs/uploads/', header), 403, header);
      assert.equal(await raw('GET', '/v2/_catalog', header), 403, header);
      assert.equal(await raw('DELETE', '/v2/a/b/manifests/v1', header), 403, header);
    }
    assert.equal(await raw('POST', '/v2/a/b/blobs/uploads/', 'user-agent: docker'), 202);
  });

  test('a mount names a repository, never a path', async () => {
    const url = await open();
    const digest = digestOf('x');
    for (const from of ['../../../etc', '/etc', 'a/../b', 'A', '', 'a//b', 'a%00']) {
      const { status } = await send('POST', `${url}/v2/a/b/blobs/uploads/?mount=${digest}&from=${from}`);
      assert.equal(status, 400, from);
    }
    assert.equal((await send('POST', `${url}/v2/a/b/blobs/uploads/?mount=${digest}&from=none`)).status, 202);
    assert.deepEqual(await readdir(dir), [], 'nothing to mount leaves nothing');
  });
});
