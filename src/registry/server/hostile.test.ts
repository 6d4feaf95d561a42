import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../lib/clock.ts';
import { Mutexes } from '../../lib/mutexes.ts';
import { afterwards } from '../../lib/testing/afterwards.ts';
import { temporaryFolder } from '../../lib/testing/temporary-folder.ts';
import { silentLogger } from '../../observe/log.ts';
import { digestOf } from '../digest.ts';
import { mediaTypes } from '../manifest.ts';
import { collectGarbage } from './garbage.ts';
import { type RunningRegistry, startRegistry } from './registry.ts';
import { Storage } from './storage.ts';
import { requireDigest } from './uploads.ts';

describe('the registry under attack', () => {
  let dir: string;
  let registry: RunningRegistry;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'kw-registry-'));
    registry = await startRegistry({ dir, port: 0, clock: systemClock, log: silentLogger });
  });
  after(async () => {
    await registry.stop();
    await rm(dir, { recursive: true });
  });

  async function push(url: string, name: string, content: Buffer): Promise<string> {
    const digest = digestOf(content);
    const body = new Uint8Array(content);
    const reply = await fetch(`${url}/v2/${name}/blobs/uploads/?digest=${digest}`, { method: 'POST', body });
    assert.equal(reply.status, 201);
    return digest;
  }

  /** The status of a request that is sent as it stands. */
  function raw(text: string): Promise<number> {
    return new Promise((resolve, reject) => {
      const socket = connect(registry.port, '127.0.0.1', () => socket.write(text));
      socket.on('error', reject);
      socket.once('data', (data) => {
        resolve(Number(data.toString().slice(9, 12)));
        socket.destroy();
      });
    });
  }

  /** As bytes, because a text would have a content type. */
  const put = (body: string, reference = 'v1') =>
    fetch(`${registry.url}/v2/a/b/manifests/${reference}`, { method: 'PUT', body: new Uint8Array(Buffer.from(body)) });

  test('manifests that are deep, huge, of wrong types or whose words cannot be sent are refused in words', async () => {
    const layer = {
      mediaType: mediaTypes.layerTar,
      digest: await push(registry.url, 'a/b', Buffer.from('x')),
      size: 1,
    };
    const image = { schemaVersion: 2, layers: [layer] };
    const deep = (n: number) => `${'['.repeat(n)}${']'.repeat(n)}`;
    const text = JSON.stringify(image);
    const wrong = [
      ...[deep(1_000_000), `{"a":${deep(1_000_000)}}`, text.replace('[', `${deep(100_000)},"x":[`)],
      text.replace(/}$/, `,"annotations":{"a":${deep(500_000)}}}`),
      ...[{ annotations: { a: {} } }, { annotations: 'x' }, { mediaType: 'a\r\nb: c' }, { mediaType: '€' }].map(
        (more) => JSON.stringify({ ...image, ...more }),
      ),
      ...[
        { artifactType: [] },
        { subject: 5 },
        { config: [] },
        { layers: {} },
        { manifests: 'x' },
        { layers: [[]] },
      ].map((more) => JSON.stringify({ ...image, ...more })),
      ...[
        { digest: 5 },
        { digest: 'sha256:..' },
        { size: '1' },
        { size: -1 },
        { mediaType: null },
        { platform: 'x' },
      ].map((more) => JSON.stringify({ ...image, layers: [{ ...layer, ...more }] })),
      ...['', '\0', '\uFEFF', 'null', '5', '"x"', '{"__proto__":{"layers":[],"schemaVersion":2}}'],
    ];
    for (const body of wrong) {
      const reply = await put(body);
      assert.equal(reply.status, 400, body.slice(0, 80));
      assert.match(await reply.text(), /MANIFEST_INVALID/);
    }
    // A subject whose name is long enough to be a file of its own, an annotation as long as the manifest may be.
    const long = { ...image, subject: { ...layer, digest: digestOf('s') }, annotations: { a: 'x'.repeat(4_000_000) } };
    for (let i = 0; i < 3; i++) {
      assert.equal((await put(JSON.stringify({ ...long, artifactType: `a/b${i}` }), `long${i}`)).status, 201);
    }
    let next: string | null = `/v2/a/b/referrers/${digestOf('s')}`;
    const found = new Set<string>();
    for (let pages = 0; next !== null; pages++) {
      assert.ok(pages < 3);
      const reply: Response = await fetch(registry.url + next);
      const page = await reply.text();
      assert.ok(page.length < 5_000_000, 'no answer holds them all');
      for (const { artifactType } of JSON.parse(page).manifests) found.add(artifactType);
      next = /^<(.+)>; rel="next"$/.exec(reply.headers.get('link') ?? '')?.[1] ?? null;
    }
    assert.deepEqual([...found].sort(), ['a/b0', 'a/b1', 'a/b2']);
  });

  test('names, digests and ranges of the wrong form are refused, and none of them is a path', async () => {
    const digest = await push(registry.url, 'a/b', Buffer.from('content'));
    const hex = digest.slice(7);
    const targets = [
      ...['/v2/../x/manifests/v1', '/v2/a/../b/tags/list', '/v2/a/..%2f..%2fetc/tags/list', '/v2/%2e%2e/b/tags/list'],
      ...['/v2/a//b/tags/list', '/v2/a%00b/tags/list', '/v2/./b/tags/list', `/v2/${'a/'.repeat(200)}b/tags/list`],
      ...[`/v2/a/b/blobs/sha256:${hex.slice(1)}`, `/v2/a/b/blobs/sha256:${hex}0`, `/v2/a/b/blobs/SHA256:${hex}`],
      ...[
        `/v2/a/b/blobs/sha256:${hex.toUpperCase()}`,
        '/v2/a/b/blobs/sha256:',
        '/v2/a/b/blobs/md5:0',
        '/v2/a/b/blobs/x',
      ],
      ...['/v2/a/b/blobs/sha256:../../../../etc/passwd', `/v2/a/b/blobs/sha256:${'%2e'.repeat(64)}`],
      ...['/v2/a/b/manifests/..', '/v2/a/b/manifests/.', '/v2/a/b/manifests/-x', '/v2/a/b/manifests/%2e%2e%2fx'],
      ...[`/v2/a/b/manifests/${'v'.repeat(129)}`, '/v2/a/b/referrers/x', '/v2/a/b/blobs/uploads/../../x'],
      ...['/v2/a/b/blobs/uploads/%2e%2e', '/v2/a/b/tags/list?n=-1', '/v2/a/b/tags/list?n=1e9', '/v2/_catalog?n=x'],
      ...[
        '/v2/a/b/blobs/uploads/00000000-0000-0000-0000-000000000000',
        '/v2',
        '//v2/',
        '/',
        '*',
        '/v2/__proto__/tags/list',
      ],
    ];
    for (const target of targets) {
      const status = await raw(`GET ${target} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n`);
      const expected = target === '/v2' ? [200] : [400, 404];
      assert.ok(expected.includes(status), `${target}: ${status}`);
    }
    const ranges = [
      ...['bytes=0-99999999999999999999', 'bytes=-99999999999999', 'bytes=-0', 'bytes=7-', 'bytes=6-5', 'bytes=--5'],
      ...[
        'bytes=a-b',
        'bytes=0-0,2-2',
        `bytes=${'0-0,'.repeat(2000)}0-0`,
        'bytes=',
        'items=0-1',
        'bytes=1e3-',
        '\u0001',
      ],
    ];
    for (const range of ranges) {
      const status = await raw(`GET /v2/a/b/blobs/${digest} HTTP/1.1\r\nhost: 127.0.0.1\r\nrange: ${range}\r\n\r\n`);
      assert.ok([200, 206, 400, 416, 431].includes(status), `${range.slice(0, 40)}: ${status}`);
    }
    const { headers } = await fetch(`${registry.url}/v2/a/b/blobs/uploads/`, { method: 'POST' });
    for (const range of [
      '0-',
      '-5',
      '5-0',
      'bytes 0-4/5',
      '0-99999999999999999',
      '9007199254740993-9007199254740994',
    ]) {
      const head = `host: 127.0.0.1\r\ncontent-range: ${range}\r\ncontent-length: 5`;
      const status = await raw(`PATCH ${headers.get('location')} HTTP/1.1\r\n${head}\r\n\r\nabcde`);
      assert.equal(status, 416, range);
    }
  });

  test('clients that never read large blobs, and send one request after the other, cost little memory', async (t) => {
    const folder = temporaryFolder(t);
    const here = (file: string) => JSON.stringify(fileURLToPath(new URL(file, import.meta.url)));
    const script = `
    import { startRegistry } from ${here('./registry.ts')};
    import { systemClock } from ${here('../../lib/clock.ts')};
    import { silentLogger } from ${here('../../observe/log.ts')};
    const options = { dir: ${JSON.stringify(folder)}, port: 0, clock: systemClock, log: silentLogger };
    const r = await startRegistry(options);
    process.stdout.write(r.url);`;
    const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const sockets: Socket[] = [];
    const rssOf = async () => {
      const status = await readFile(`/proc/${child.pid}/status`, 'utf8').catch(() => 'VmRSS: 0' /* macOS */);
      return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024;
    };
    try {
      const [url] = (await once(child.stdout, 'data')).map(String) as [string];
      const digest = await push(url, 'a/b', randomBytes(32 * 1024 * 1024));
      const path = `/v2/a/b/blobs/${digest}`;
      const before = await rssOf();
      const request = `GET ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n`;
      await Promise.all(
        Array.from({ length: 200 }, async (_, i) => {
          const socket = connect(Number(new URL(url).port), '127.0.0.1');
          sockets.push(socket);
          socket.on('error', () => {});
          await once(socket, 'connect');
          socket.pause();
          socket.write(request.repeat(i % 2 === 0 ? 300 : 10));
        }),
      );
      for (let i = 0; i < 30; i++) assert.equal((await fetch(url + path, { method: 'HEAD' })).status, 200);
      const grown = (await rssOf()) - before;
      assert.ok(grown < 200 * 1024 * 1024, `the registry grew by ${Math.round(grown / 1024 / 1024)} MiB`);
    } finally {
      for (const socket of sockets) socket.destroy();
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    }
  });

  test('a damaged manifest keeps no other repository from being swept, and can be deleted', async (t) => {
    const folder = temporaryFolder(t);
    const other = await startRegistry({ dir: folder, port: 0, clock: systemClock, log: silentLogger });
    afterwards(t, () => other.stop());
    await push(other.url, 'a', Buffer.from('needed, for all that anybody knows'));
    await push(other.url, 'b', Buffer.from('orphan'));
    const manifests = join(folder, 'repositories/a/_manifests/sha256');
    await mkdir(manifests, { recursive: true });
    const digest = digestOf('what it was');
    await writeFile(join(manifests, digest.slice(7)), '{"schemaVersion":');
    const storage = new Storage(folder);
    const failures: string[] = [];
    const collected = await collectGarbage(storage, {
      nowMs: Date.now() + 1000,
      graceMs: 0,
      turns: new Mutexes(),
      onFailure: (name, error) => failures.push(`${name}: ${error}`),
    });
    assert.equal(collected.blobs, 1);
    assert.match(failures.join(), /^a: Error: the manifest sha256:\w+ of a is damaged .*delete it by its digest/);
    const url = `${other.url}/v2/a/manifests/${digest}`;
    assert.equal((await fetch(url)).status, 200);
    assert.equal((await fetch(url, { method: 'DELETE' })).status, 202);
  });

  test('a blob that a push goes on to use is not swept away before its manifest comes', async (t) => {
    const folder = temporaryFolder(t);
    const other = await startRegistry({ dir: folder, port: 0, clock: systemClock, log: silentLogger });
    afterwards(t, () => other.stop());
    const storage = new Storage(folder);
    const uses: Record<string, (digest: string, content: Buffer) => Promise<unknown>> = {
      // A request only touches what was last touched a minute ago.
      'asked for': (digest) => storage.blobSizeForPush('a', requireDigest(digest), Date.now() - 20),
      'pushed again': (_digest, content) => push(other.url, 'a', content),
      mounted: (digest) => fetch(`${other.url}/v2/a/blobs/uploads/?mount=${digest}`, { method: 'POST' }),
      left: async () => {},
    };
    for (const [how, use] of Object.entries(uses)) {
      const content = Buffer.from(`content ${how}`);
      const digest = await push(other.url, 'a', content);
      const pushedMs = Date.now();
      // Change times cannot be set: the sweep's own clock is ahead, and what was touched counts from when it was.
      while (Date.now() < pushedMs + 50) await new Promise((resolve) => setTimeout(resolve, 5));
      await use(digest, content);
      await storage.deleteOldBlob('a', requireDigest(digest), pushedMs + 20);
      assert.equal((await storage.blobSize('a', requireDigest(digest))) !== undefined, how !== 'left', how);
    }
  });
});
