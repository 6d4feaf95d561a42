import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { systemClock } from '../lib/clock.ts';
import { silentLogger } from '../observe/log.ts';
import { type Descriptor, digestOf, mediaTypes, RegistryClient, type RegistryClientError } from './index.ts';
import { type RunningRegistry, startRegistry } from './server/registry.ts';

describe('the registry client', () => {
  let dir: string;
  let registry: RunningRegistry;
  let client: RegistryClient;

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'kw-registry-'));
    registry = await startRegistry({ dir, port: 0, clock: systemClock, log: silentLogger });
    client = new RegistryClient({ mirrors: { 'registry.localhost': registry.url } });
  });

  after(async () => {
    client.close();
    await registry.stop();
    await rm(dir, { recursive: true });
  });

  function describe(content: Buffer, mediaType: string = mediaTypes.layerTar): Descriptor {
    return { mediaType, digest: digestOf(content), size: content.length };
  }

  async function pushImage(reference: string, layer: Buffer): Promise<string> {
    const config = Buffer.from('{}');
    const manifest = {
      schemaVersion: 2 as const,
      mediaType: mediaTypes.manifest,
      config: describe(config, mediaTypes.config),
      layers: [describe(layer)],
    };
    return client.push(reference, {
      manifest,
      blobs: [
        { descriptor: describe(config, mediaTypes.config), content: config },
        { descriptor: describe(layer), content: () => Readable.from([layer]) },
      ],
    });
  }

  test('what is pushed is pulled back, byte for byte, by tag and by digest', async () => {
    const layer = randomBytes(300_000);
    const digest = await pushImage('registry.localhost/team/app:v1', layer);
    assert.equal(await client.resolve('registry.localhost/team/app:v1'), digest);
    const byDigest = await client.manifest(`registry.localhost/team/app@${digest}`);
    assert.equal(digestOf(byDigest.bytes), digest);
    const pulled = await buffer(await client.blob('registry.localhost/team/app', digestOf(layer)));
    assert.ok(pulled.equals(layer));
  });

  test('a blob that another repository has is mounted, not sent again', async () => {
    const layer = randomBytes(1000);
    await pushImage('registry.localhost/team/a:v1', layer);
    let reads = 0;
    const content = () => {
      reads++;
      return Readable.from([layer]);
    };
    await client.pushBlob('registry.localhost/team/b', { descriptor: describe(layer), content, mountFrom: 'team/a' });
    assert.equal(reads, 0);
    assert.ok(await client.hasBlob('registry.localhost/team/b', digestOf(layer)));
  });

  test('what is not there is an error with the name of what was asked for', async () => {
    await assert.rejects(client.manifest('registry.localhost/none/such:v1'), (error: RegistryClientError) => {
      assert.equal(error.status, 404);
      assert.equal(error.code, 'MANIFEST_UNKNOWN');
      assert.match(error.message, /none\/such/);
      return true;
    });
    assert.equal(await client.hasBlob('registry.localhost/none/such', digestOf('x')), false);
  });

  test('content that does not have its digest is refused', async () => {
    const server = createServer((_request, response) => response.end('something else'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const liar = new RegistryClient();
    try {
      const stream = await liar.blob(`127.0.0.1:${port}/a/b`, digestOf('wanted'));
      await assert.rejects(buffer(stream), /has the digest sha256:.*, not sha256:/);
      const pinned = `127.0.0.1:${port}/a/b@${digestOf('wanted')}`;
      await assert.rejects(liar.manifest(pinned), /what came has the digest/);
    } finally {
      liar.close();
      server.close();
    }
  });

  test('a registry that asks for a token gets one with the credentials of its host', async () => {
    const seen: string[] = [];
    const server = createServer((request, response) => {
      const authorization = request.headers.authorization ?? '';
      seen.push(`${request.method} ${request.url} ${authorization}`);
      const url = new URL(request.url ?? '/', 'http://127.0.0.1');
      if (url.pathname === '/token') {
        response.end(JSON.stringify({ token: `for-${url.searchParams.get('scope')}` }));
      } else if (authorization.startsWith('Bearer for-repository:a/b:pull')) {
        response.writeHead(200, { 'docker-content-digest': digestOf('m') }).end();
      } else {
        const realm = `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`;
        response.writeHead(401, { 'www-authenticate': `Bearer realm="${realm}",service="test"` }).end();
      }
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const guest = new RegistryClient({ auth: () => ({ username: 'kit', password: 'wake' }) });
    try {
      assert.equal(await guest.resolve(`${host}/a/b:v1`), digestOf('m'));
      assert.equal(await guest.resolve(`${host}/a/b:v1`), digestOf('m'));
      assert.equal(seen.filter((line) => line.includes('/token')).length, 1, 'the token is used again');
      assert.match(seen[1] ?? '', new RegExp(`service=test.* Basic ${Buffer.from('kit:wake').toString('base64')}$`));
    } finally {
      guest.close();
      server.close();
    }
  });
});
