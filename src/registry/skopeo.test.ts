import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { systemClock } from '../lib/clock.ts';
import { temporaryFolder } from '../lib/testing/temporary-folder.ts';
import { silentLogger } from '../observe/log.ts';
import { digestOf, mediaTypes, RegistryClient } from './index.ts';
import { startRegistry } from './server/registry.ts';

const isInstalled = (process.env.PATH ?? '').split(delimiter).some((folder) => existsSync(join(folder, 'skopeo')));
const skip = isInstalled ? false : 'left out: skopeo is not installed (Debian: apt install skopeo)';

test('skopeo, unmodified, pulls an image and pushes it to another repository unchanged', { skip }, async (t) => {
  const dir = temporaryFolder(t);
  const registry = await startRegistry({ dir: join(dir, 'registry'), port: 0, clock: systemClock, log: silentLogger });
  const client = new RegistryClient({ mirrors: { 'registry.localhost': registry.url } });
  const skopeo = (...args: string[]) => promisify(execFile)('skopeo', ['--insecure-policy', ...args]);
  try {
    const layer = Buffer.alloc(1024);
    const config = Buffer.from(
      JSON.stringify({
        architecture: 'amd64',
        os: 'linux',
        config: {},
        rootfs: { type: 'layers', diff_ids: [digestOf(layer)] },
      }),
    );
    const describe = (mediaType: string, bytes: Buffer) => ({ mediaType, digest: digestOf(bytes), size: bytes.length });
    const parts = [
      { descriptor: describe(mediaTypes.config, config), content: config },
      { descriptor: describe(mediaTypes.layerTar, layer), content: layer },
    ] as const;
    const manifest = {
      schemaVersion: 2 as const,
      mediaType: mediaTypes.manifest,
      config: parts[0].descriptor,
      layers: [parts[1].descriptor],
    };
    const digest = await client.push('registry.localhost/test/a:v1', { manifest, blobs: parts });
    const at = (name: string) => `docker://127.0.0.1:${registry.port}/${name}`;
    await skopeo('copy', '--src-tls-verify=false', at(`test/a@${digest}`), `oci:${join(dir, 'copy')}:x`);
    await skopeo('copy', '--dest-tls-verify=false', `oci:${join(dir, 'copy')}:x`, at('other/b:v2'));
    assert.equal(await client.resolve('registry.localhost/other/b:v2'), digest);
    const { stdout } = await skopeo('list-tags', '--tls-verify=false', at('other/b'));
    assert.deepEqual(JSON.parse(stdout).Tags, ['v2']);
  } finally {
    client.close();
    await registry.stop();
  }
});
