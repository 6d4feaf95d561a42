import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../lib/clock.ts';
import { afterwards } from '../../lib/testing/afterwards.ts';
import { temporaryFolder } from '../../lib/testing/temporary-folder.ts';
import { silentLogger } from '../../observe/log.ts';
import { digestOf } from '../digest.ts';
import { mediaTypes } from '../manifest.ts';
import { type RunningRegistry, startRegistry } from './registry.ts';

describe('the registry', () => {
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

  interface Answer {
    status: number;
    headers: Record<string, string>;
    body: Buffer;
    code: string | undefined;
  }

  async function send(
    method: string,
    path: string,
    body?: Buffer | string,
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    const url = path.startsWith('http') ? path : registry.url + path;
    const init = {
      method,
      headers,
      redirect: 'manual' as const,
      signal: AbortSignal.timeout(20_000),
      ...(body === undefined ? {} : { body: new Uint8Array(Buffer.from(body)) }),
    };
    const response = await fetch(url, init);
    const bytes = Buffer.from(await response.arrayBuffer());
    const isError = response.status >= 400 && bytes.length > 0;
    const code = isError ? (JSON.parse(bytes.toString()) as { errors: { code: string }[] }).errors[0]?.code : undefined;
    return { status: response.status, headers: Object.fromEntries(response.headers), body: bytes, code };
  }

  async function pushBlob(name: string, content: Buffer): Promise<string> {
    const digest = digestOf(content);
    const { headers } = await send('POST', `/v2/${name}/blobs/uploads/`);
    const done = await send('PUT', `${headers.location}?digest=${digest}`, content);
    assert.equal(done.status, 201);
    return digest;
  }

  /** A manifest over one blob, whose own content is `seed`. */
  async function manifestOver(
    name: string,
    seed: string,
    extra: object = {},
  ): Promise<{ text: string; digest: string }> {
    const content = Buffer.from(seed);
    const digest = await pushBlob(name, content);
    const config = { mediaType: mediaTypes.empty, digest, size: content.length };
    const text = JSON.stringify(
      { schemaVersion: 2, mediaType: mediaTypes.manifest, config, layers: [config], ...extra },
      null,
      1,
    );
    return { text, digest: digestOf(text) };
  }

  const type = { 'content-type': mediaTypes.manifest };

  test('the base says that this is a registry', async () => {
    const { status, headers } = await send('GET', '/v2/');
    assert.equal(status, 200);
    assert.equal(headers['docker-distribution-api-version'], 'registry/2.0');
  });

  test('a blob comes whole, in one range, from its end, and never beyond it', async () => {
    const content = randomBytes(1000);
    const path = `/v2/a/b/blobs/${await pushBlob('a/b', content)}`;
    const head = await send('HEAD', path);
    assert.equal(head.status, 200);
    assert.equal(head.headers['content-length'], '1000');
    assert.ok((await send('GET', path)).body.equals(content));
    const table: [string, number, number][] = [
      ['bytes=0-0', 0, 1],
      ['bytes=10-19', 10, 20],
      ['bytes=990-', 990, 1000],
      ['bytes=-10', 990, 1000],
      ['bytes=990-5000', 990, 1000],
    ];
    for (const [range, first, end] of table) {
      const part = await send('GET', path, undefined, { range });
      assert.equal(part.status, 206, range);
      assert.equal(part.headers['content-range'], `bytes ${first}-${end - 1}/1000`);
      assert.ok(part.body.equals(content.subarray(first, end)), range);
    }
    assert.equal((await send('GET', path, undefined, { range: 'bytes=1000-' })).status, 416);
    assert.equal(
      (await send('GET', path, undefined, { range: 'bytes=5-1' })).status,
      200,
      'what is no range is ignored',
    );
  });

  test('an empty blob is a blob', async () => {
    const digest = await pushBlob('a/b', Buffer.alloc(0));
    const { status, body } = await send('GET', `/v2/a/b/blobs/${digest}`);
    assert.deepEqual([status, body.length], [200, 0]);
  });

  test('a blob may come in one request, and with a sha512 digest', async () => {
    const content = randomBytes(100);
    const digest = digestOf(content, 'sha512');
    const { status, headers } = await send('POST', `/v2/a/b/blobs/uploads/?digest=${digest}`, content);
    assert.equal(status, 201);
    assert.ok((await send('GET', headers.location ?? '')).body.equals(content));
  });

  test('chunks come in order; one out of order is refused and says where to go on', async () => {
    const content = randomBytes(900);
    const location = (await send('POST', '/v2/a/b/blobs/uploads/')).headers.location ?? '';
    const patch = (first: number, end: number) =>
      send('PATCH', location, content.subarray(first, end), { 'content-range': `${first}-${end - 1}` });
    const one = await patch(0, 300);
    assert.deepEqual([one.status, one.headers.range], [202, '0-299']);
    const wrong = await patch(600, 900);
    assert.deepEqual([wrong.status, wrong.headers.range], [416, '0-299']);
    const state = await send('GET', location);
    assert.deepEqual([state.status, state.headers.range], [204, '0-299']);
    await patch(300, 600);
    const digest = digestOf(content);
    const end = await send('PUT', `${location}?digest=${digest}`, content.subarray(600), {
      'content-range': '600-899',
    });
    assert.equal(end.status, 201);
    assert.ok((await send('GET', `/v2/a/b/blobs/${digest}`)).body.equals(content));
    assert.equal((await send('GET', location)).code, 'BLOB_UPLOAD_UNKNOWN');
  });

  test('content without its digest is refused, and nothing of it is kept', async () => {
    const wrong = digestOf('something else');
    const answer = await send('POST', `/v2/a/b/blobs/uploads/?digest=${wrong}`, 'content');
    assert.deepEqual([answer.status, answer.code], [400, 'DIGEST_INVALID']);
    assert.equal((await send('HEAD', `/v2/a/b/blobs/${wrong}`)).status, 404);
    assert.deepEqual(await readdir(join(dir, 'repositories/a/b/_uploads')), []);
  });

  test('a blob is only in the repositories that it was pushed to or mounted into', async () => {
    const digest = await pushBlob('a/from', randomBytes(50));
    assert.equal((await send('HEAD', `/v2/a/to/blobs/${digest}`)).status, 404);
    const mounted = await send('POST', `/v2/a/to/blobs/uploads/?mount=${digest}&from=a/from`);
    assert.equal(mounted.status, 201);
    assert.equal((await send('HEAD', `/v2/a/to/blobs/${digest}`)).status, 200);
    const missing = await send('POST', `/v2/a/to/blobs/uploads/?mount=${digestOf('no such')}&from=a/from`);
    assert.equal(missing.status, 202, 'what cannot be mounted becomes an upload');
    assert.equal((await send('DELETE', `/v2/a/from/blobs/${digest}`)).status, 202);
    assert.equal((await send('HEAD', `/v2/a/to/blobs/${digest}`)).status, 200, 'deleting it there keeps it here');
  });

  test('a manifest is kept byte for byte, by tag and by digest', async () => {
    const { text, digest } = await manifestOver('a/m', 'one');
    const put = await send('PUT', '/v2/a/m/manifests/v1', text, type);
    assert.deepEqual([put.status, put.headers['docker-content-digest']], [201, digest]);
    for (const reference of ['v1', digest]) {
      const got = await send('GET', `/v2/a/m/manifests/${reference}`);
      assert.equal(got.body.toString(), text);
      assert.equal(got.headers['content-type'], mediaTypes.manifest);
      assert.equal(got.headers['docker-content-digest'], digest);
    }
  });

  test('a manifest that is wrong is refused with the reason', async () => {
    const { text } = await manifestOver('a/w', 'one');
    const layer = { mediaType: mediaTypes.layerTar, digest: digestOf('not pushed'), size: 10 };
    const incomplete = JSON.stringify({ ...JSON.parse(text), layers: [layer] });
    const index = JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.index, manifests: [layer] });
    const table: [string, string, Record<string, string>, number, string][] = [
      ['v1', '{', type, 400, 'MANIFEST_INVALID'],
      ['v1', '[]', type, 400, 'MANIFEST_INVALID'],
      ['v1', '{"schemaVersion":1}', type, 400, 'MANIFEST_INVALID'],
      ['v1', text, { 'content-type': mediaTypes.index }, 400, 'MANIFEST_INVALID'],
      ['v1', incomplete, type, 404, 'MANIFEST_BLOB_UNKNOWN'],
      ['v1', index, { 'content-type': mediaTypes.index }, 404, 'MANIFEST_BLOB_UNKNOWN'],
      [digestOf('other'), text, type, 400, 'DIGEST_INVALID'],
      ['-bad-tag', text, type, 400, 'MANIFEST_INVALID'],
      ['v1', ' '.repeat(4 * 1024 * 1024 + 1), type, 413, 'SIZE_INVALID'],
    ];
    for (const [reference, body, headers, status, code] of table) {
      const answer = await send('PUT', `/v2/a/w/manifests/${reference}`, body, headers);
      assert.deepEqual([answer.status, answer.code], [status, code], body.slice(0, 60));
    }
  });

  test('tags are listed in order, in pages', async () => {
    const { text } = await manifestOver('a/tags', 'x');
    for (const tag of ['c', 'a', 'b', 'V1']) await send('PUT', `/v2/a/tags/manifests/${tag}`, text, type);
    const tags = async (query: string) =>
      JSON.parse((await send('GET', `/v2/a/tags/tags/list${query}`)).body.toString()).tags;
    assert.deepEqual(await tags(''), ['V1', 'a', 'b', 'c']);
    assert.deepEqual(await tags('?n=2'), ['V1', 'a']);
    assert.deepEqual(await tags('?n=2&last=a'), ['b', 'c']);
    assert.deepEqual(await tags('?n=0'), []);
    const { headers } = await send('GET', '/v2/a/tags/tags/list?n=2');
    assert.equal(headers.link, '</v2/a/tags/tags/list?n=2&last=a>; rel="next"');
    assert.equal((await send('GET', '/v2/no/such/tags/list')).code, 'NAME_UNKNOWN');
  });

  test('what refers to a manifest is found by it, and by its type', async () => {
    const subject = await manifestOver('a/ref', 'subject');
    const descriptor = { mediaType: mediaTypes.manifest, digest: subject.digest, size: subject.text.length };
    const extra = { subject: descriptor, artifactType: 'application/x-sbom', annotations: { made: 'here' } };
    const sbom = await manifestOver('a/ref', 'sbom', extra);
    const before = await send('GET', `/v2/a/ref/referrers/${subject.digest}`);
    assert.deepEqual([before.status, JSON.parse(before.body.toString()).manifests], [200, []]);
    const put = await send('PUT', `/v2/a/ref/manifests/${sbom.digest}`, sbom.text, type);
    assert.equal(put.headers['oci-subject'], subject.digest, 'the subject itself may come later');
    const list = async (query = '') => send('GET', `/v2/a/ref/referrers/${subject.digest}${query}`);
    const [found] = JSON.parse((await list()).body.toString()).manifests;
    assert.deepEqual(
      [found.digest, found.artifactType, found.annotations.made],
      [sbom.digest, 'application/x-sbom', 'here'],
    );
    const other = await list('?artifactType=application/x-other');
    assert.equal(other.headers['oci-filters-applied'], 'artifactType');
    assert.deepEqual(JSON.parse(other.body.toString()).manifests, []);
    await send('DELETE', `/v2/a/ref/manifests/${sbom.digest}`);
    assert.deepEqual(JSON.parse((await list()).body.toString()).manifests, []);
  });

  test('deleting a tag keeps the manifest; deleting the manifest takes its tags', async () => {
    const { text, digest } = await manifestOver('a/del', 'x');
    await send('PUT', '/v2/a/del/manifests/v1', text, type);
    await send('PUT', '/v2/a/del/manifests/v2', text, type);
    assert.equal((await send('DELETE', '/v2/a/del/manifests/v1')).status, 202);
    assert.equal((await send('GET', '/v2/a/del/manifests/v1')).code, 'MANIFEST_UNKNOWN');
    assert.equal((await send('GET', `/v2/a/del/manifests/${digest}`)).status, 200);
    assert.equal((await send('DELETE', `/v2/a/del/manifests/${digest}`)).status, 202);
    assert.equal((await send('GET', '/v2/a/del/manifests/v2')).code, 'MANIFEST_UNKNOWN');
    assert.equal((await send('DELETE', `/v2/a/del/manifests/${digest}`)).code, 'MANIFEST_UNKNOWN');
  });

  test('names that would leave the folder, and hosts that are not this machine, are refused', async () => {
    const raw = (path: string, host = '127.0.0.1') =>
      new Promise<number | undefined>((resolve, reject) => {
        const sent = request({ port: registry.port, path, method: 'GET', headers: { host } }, (response) => {
          response.resume();
          resolve(response.statusCode);
        });
        sent.on('error', reject).end();
      });
    assert.equal(await raw('/v2/../../etc/blobs/sha256:00'), 400);
    assert.equal(await raw('/v2/a%2F..%2F..%2Fb/tags/list'), 400);
    assert.equal(await raw('/v2/a/_uploads/tags/list'), 400);
    assert.equal(await raw('/v2/A/tags/list'), 400);
    assert.equal(await raw('/v2/a/b/blobs/sha256:..'), 400);
    assert.equal(await raw('/v2/%zz/tags/list'), 400);
    assert.equal(await raw('/v2/', 'evil.example'), 403);
    assert.equal(await raw('/v2/', 'registry.localhost:8082'), 200);
  });

  test('an upload that breaks off can be resumed from where it came to', async () => {
    const content = randomBytes(200_000);
    const location = (await send('POST', '/v2/a/b/blobs/uploads/')).headers.location ?? '';
    const socket = connect(registry.port, '127.0.0.1');
    socket.write(`PATCH ${location} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: ${content.length}\r\n\r\n`);
    socket.write(content.subarray(0, 100_000), () => socket.destroy());
    await once(socket, 'close');
    const range = (await send('GET', location)).headers.range ?? '';
    const received = range === '0-0' ? 0 : Number(range.slice(2)) + 1;
    const rest = content.subarray(received);
    const headers = { 'content-range': `${received}-${content.length - 1}` };
    assert.equal((await send('PATCH', location, rest, headers)).status, 202);
    assert.equal((await send('PUT', `${location}?digest=${digestOf(content)}`)).status, 201);
  });

  test('the same blob may be pushed by many at once', async () => {
    const content = randomBytes(50_000);
    const digests = await Promise.all(Array.from({ length: 8 }, () => pushBlob('a/many', content)));
    assert.ok((await send('GET', `/v2/a/many/blobs/${digests[0]}`)).body.equals(content));
  });

  test('a blob that is larger than a blob may be is refused', async (t) => {
    const folder = temporaryFolder(t);
    const limits = { blobBytesMax: 1000 };
    const small = await startRegistry({ dir: folder, port: 0, clock: systemClock, log: silentLogger, limits });
    afterwards(t, () => small.stop());
    const { headers } = await send('POST', `${small.url}/v2/a/b/blobs/uploads/`);
    const answer = await send('PATCH', `${small.url}${headers.location}`, randomBytes(1001));
    assert.deepEqual([answer.status, answer.code], [413, 'SIZE_INVALID']);
  });

  test('a port in use is said with its number and the flag', async () => {
    const again = startRegistry({ dir, port: registry.port, clock: systemClock, log: silentLogger });
    await assert.rejects(again, new RegExp(`port ${registry.port} .*--registry-port`));
  });

  test('kill -9 in the middle of uploads loses nothing acknowledged and serves no half blob', async (t) => {
    const folder = temporaryFolder(t);
    const acknowledged: string[] = [];
    let location = '';
    const content = randomBytes(400_000);
    const child = await startChild(folder);
    const pushing = (async () => {
      for (;;) {
        const bytes = randomBytes(20_000);
        const digest = digestOf(bytes);
        const { status } = await send('POST', `${child.url}/v2/k/k/blobs/uploads/?digest=${digest}`, bytes);
        if (status === 201) acknowledged.push(digest);
        if (acknowledged.length === 5)
          location = (await send('POST', `${child.url}/v2/k/k/blobs/uploads/`)).headers.location ?? '';
        if (acknowledged.length === 10) {
          await send('PATCH', child.url + location, content.subarray(0, 100_000));
          child.process.kill('SIGKILL');
        }
      }
    })();
    await assert.rejects(pushing);
    await child.exited;
    const again = await startRegistry({ dir: folder, port: 0, clock: systemClock, log: silentLogger });
    try {
      assert.ok(acknowledged.length >= 10);
      for (const digest of acknowledged) {
        const { status, body } = await send('GET', `${again.url}/v2/k/k/blobs/${digest}`);
        assert.deepEqual([status, digestOf(body)], [200, digest]);
      }
      const listed = await readdir(join(folder, 'repositories/k/k/_blobs/sha256'));
      for (const hex of listed) {
        assert.equal(digestOf((await send('GET', `${again.url}/v2/k/k/blobs/sha256:${hex}`)).body), `sha256:${hex}`);
      }
      const resumed = await send('GET', again.url + location);
      assert.equal(resumed.headers.range, '0-99999', 'the upload that was under way goes on');
      const end = `${again.url}${location}?digest=${digestOf(content)}`;
      assert.equal((await send('PUT', end, content.subarray(100_000))).status, 201);
    } finally {
      await again.stop();
    }
  });

  async function startChild(folder: string) {
    const module = fileURLToPath(new URL('./registry.ts', import.meta.url));
    const lib = (file: string) => JSON.stringify(fileURLToPath(new URL(`../../${file}`, import.meta.url)));
    const script = `
    import { startRegistry } from ${JSON.stringify(module)};
    import { systemClock } from ${lib('lib/clock.ts')};
    import { silentLogger } from ${lib('observe/log.ts')};
    const r = await startRegistry({ dir: ${JSON.stringify(folder)}, port: 0, clock: systemClock, log: silentLogger });
    process.stdout.write(r.url);`;
    const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exited = once(child, 'exit');
    const [url] = await once(child.stdout, 'data');
    return { process: child, url: String(url), exited };
  }
});
