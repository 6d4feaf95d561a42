import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { createZstdDecompress } from 'node:zlib';
import { type Layer, layerInFile } from '../layers/layer.ts';
import { machineBase, nonroot } from './machine-base.ts';

const skip = process.platform === 'linux' ? false : 'images of other systems have no base';

describe('the base that is assembled from this machine', { skip }, () => {
  let dir: string;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'kittiwake-base-'));
  });
  after(() => rm(dir, { recursive: true, force: true }));

  const pack = async (name: string): Promise<Layer[]> => {
    const layers: Layer[] = [];
    for (const { entries, createdBy } of await machineBase()) {
      layers.push(await layerInFile(entries(), join(dir, `${name}-${layers.length}`), createdBy, 'zstd'));
    }
    return layers;
  };

  test('the same machine gives the same bytes', async () => {
    const digests = (layers: Layer[]) => layers.map(({ descriptor }) => descriptor.digest);
    const layers = await pack('one');
    assert.equal(layers.length, 2, 'the runtime is apart from what it stands on');
    assert.deepEqual(digests(layers), digests(await pack('two')));
  });

  const root = process.getuid?.() === 0 ? false : 'only root can change the root of the file system';
  test('Node, a shell and env run in it, as nobody', { skip: root }, async () => {
    const folder = join(dir, 'root');
    execFileSync('mkdir', [folder]);
    for (const layer of await pack('three')) {
      assert.ok(typeof layer.content === 'function');
      const tar = layer.content().pipe(createZstdDecompress());
      const chunks: Buffer[] = [];
      for await (const chunk of tar) chunks.push(chunk);
      execFileSync('tar', ['--extract', '--directory', folder], { input: Buffer.concat(chunks) });
    }
    const inside = (...command: string[]) =>
      execFileSync('chroot', [`--userspec=${nonroot.id}:${nonroot.id}`, folder, ...command], {
        encoding: 'utf8',
        env: { PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin' },
      }).trim();
    assert.equal(inside('/bin/sh', '-c', 'env node --print process.version'), process.version);
    assert.equal(inside('node', '--print', 'process.getuid()'), `${nonroot.id}`);
    assert.equal(inside('node', '--print', 'os.userInfo().username'), nonroot.name);
    assert.equal(inside('node', '--eval', 'fs.writeFileSync("/tmp/x", "")'), '');
    assert.throws(() => inside('node', '--eval', 'fs.writeFileSync("/etc/x", "")'), /EACCES/);
  });
});
