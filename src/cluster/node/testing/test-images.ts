import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { pack } from 'tar-stream';
import { systemClock } from '../../../lib/clock.ts';
import { silentLogger } from '../../../observe/log.ts';
import { digestOf, mediaTypes, RegistryClient } from '../../../registry/index.ts';
import { startRegistry } from '../../../registry/server/registry.ts';

/** An entry of a layer: a file's text, a program, or anything that tar can say. */
export type TestEntry =
  | string
  | Buffer
  | { type: 'directory' | 'symlink' | 'link' | 'fifo'; linkname?: string; mode?: number };
export type TestLayer = Record<string, TestEntry>;

export interface TestRegistry {
  client: RegistryClient;
  url: string;
  /** Pushes an image whose entrypoint is `node main.mjs` in /app, and returns its reference with the digest. */
  push(layers: readonly TestLayer[], config?: TestConfig): Promise<string>;
  stop(): Promise<void>;
}

export interface TestConfig {
  Entrypoint?: string[];
  Cmd?: string[];
  Env?: string[];
  WorkingDir?: string;
  Labels?: Record<string, string>;
  StopSignal?: string;
  architecture?: string;
}

/** A real registry in a folder of its own, for the tests of this room. */
export async function openTestRegistry(): Promise<TestRegistry> {
  const dir = mkdtempSync(join(tmpdir(), 'kittiwake-registry-'));
  const server = await startRegistry({ dir, port: 0, clock: systemClock, log: silentLogger });
  const client = new RegistryClient({ mirrors: { 'registry.localhost': server.url } });
  return {
    client,
    url: server.url,
    async push(layers, config = {}) {
      const tars = await Promise.all(layers.map(tarOf));
      const { architecture = 'amd64', ...rest } = config;
      const image = Buffer.from(
        JSON.stringify({
          os: 'linux',
          architecture,
          config: {
            Entrypoint: ['node', 'main.mjs'],
            WorkingDir: '/app',
            Labels: { 'dev.kittiwake.runtime': 'node24' },
            ...rest,
          },
          rootfs: { type: 'layers', diff_ids: tars.map((tar) => digestOf(tar)) },
        }),
      );
      const blob = (content: Buffer, mediaType: string) => ({
        descriptor: { mediaType, digest: digestOf(content), size: content.length },
        content,
      });
      const blobs = [blob(image, mediaTypes.config), ...tars.map((tar) => blob(gzipSync(tar), mediaTypes.layerGzip))];
      const [first, ...others] = blobs.map((b) => b.descriptor);
      if (!first) throw new Error('no configuration');
      const manifest = { schemaVersion: 2 as const, mediaType: mediaTypes.manifest, config: first, layers: others };
      const name = `test/${createHash('sha1').update(image).digest('hex').slice(0, 12)}`;
      const digest = await client.push(`registry.localhost/${name}:latest`, { manifest, blobs });
      return `registry.localhost/${name}@${digest}`;
    },
    async stop() {
      client.close();
      await server.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** A tar with these entries in this order. */
export async function tarOf(layer: TestLayer): Promise<Buffer> {
  const tar = pack();
  for (const [name, entry] of Object.entries(layer)) {
    const mtime = new Date(1_000_000_000_000);
    if (typeof entry === 'string') tar.entry({ name, mtime, mode: 0o644 }, entry);
    else if (Buffer.isBuffer(entry)) tar.entry({ name, mtime, mode: 0o755 }, entry);
    else tar.entry({ name, mtime, mode: 0o755, ...entry });
  }
  tar.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of tar as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}
