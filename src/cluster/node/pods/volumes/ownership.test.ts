import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, lstatSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { Pod } from '../../../../api/core/pod.ts';
import { giveToGroup } from './ownership.ts';

const isRoot = process.platform === 'linux' && process.getuid?.() === 0;

describe('a volume of a pod with fsGroup', { skip: !isRoot && 'only the superuser gives files away' }, () => {
  let dir: string;
  let volume: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'kittiwake-ownership-'));
    volume = join(dir, 'volume');
    mkdirSync(volume);
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  const give = (securityContext: NonNullable<Pod['spec']['securityContext']>) =>
    giveToGroup(volume, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'p' },
      spec: { containers: [], securityContext },
    });
  const of = (path: string) => {
    const { uid, gid, mode } = lstatSync(join(dir, path));
    return `${uid}:${gid} ${(mode & 0o7777).toString(8)}`;
  };

  test('belongs to its group, with all there is in it and will be', async () => {
    mkdirSync(join(volume, 'deep'), { mode: 0o700 });
    writeFileSync(join(volume, 'deep/file'), '', { mode: 0o400 });
    writeFileSync(join(volume, 'program'), '', { mode: 0o755 });
    execFileSync('chown', ['7:7', join(volume, 'deep/file')]);
    await give({ fsGroup: 4321 });
    assert.equal(of('volume'), '0:4321 2775');
    assert.equal(of('volume/deep'), '0:4321 2770');
    assert.equal(of('volume/deep/file'), '7:4321 660');
    assert.equal(of('volume/program'), '0:4321 775');
    writeFileSync(join(volume, 'deep/new'), '');
    assert.equal(statSync(join(volume, 'deep/new')).gid, 4321);
  });

  test('is left alone without fsGroup, and with OnRootMismatch when its folder is as it should be', async () => {
    await give({});
    assert.equal(of('volume'), '0:0 755');
    const policy = { fsGroup: 5, fsGroupChangePolicy: 'OnRootMismatch' };
    await give(policy);
    writeFileSync(join(volume, 'file'), '', { mode: 0o600 });
    execFileSync('chown', ['7:7', join(volume, 'file')]);
    await give(policy);
    assert.equal(of('volume/file'), '7:7 600');
    await give({ fsGroup: 5, fsGroupChangePolicy: 'Always' });
    assert.equal(of('volume/file'), '7:5 660');
    chmodSync(volume, 0o755);
    await give({ ...policy, fsGroup: 6 });
    assert.equal(of('volume/file'), '7:6 660');
  });

  test('nothing outside of it is changed by links, and what is no file is no trouble', async () => {
    writeFileSync(join(dir, 'secret'), '', { mode: 0o600 });
    mkdirSync(join(dir, 'outside'), { mode: 0o700 });
    symlinkSync('../secret', join(volume, 'file-link'));
    symlinkSync(join(dir, 'outside'), join(volume, 'folder-link'));
    symlinkSync('nowhere', join(volume, 'broken'));
    execFileSync('mkfifo', [join(volume, 'fifo')]);
    execFileSync('mknod', [join(volume, 'disk'), 'b', '511', '1000']);
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(join(volume, 'socket'), resolve));
    await give({ fsGroup: 4321 });
    await new Promise((resolve) => server.close(resolve));
    assert.deepEqual([of('secret'), of('outside')], ['0:0 600', '0:0 700']);
    assert.equal(lstatSync(join(volume, 'folder-link')).gid, 4321);
    assert.equal(lstatSync(join(volume, 'fifo')).gid, 4321);
    assert.equal(lstatSync(join(volume, 'disk')).gid, 4321);
  });

  test('a volume that is a link is refused', async () => {
    rmSync(volume, { recursive: true });
    symlinkSync('/', volume);
    await assert.rejects(give({ fsGroup: 4321 }), /ELOOP|ENOTDIR/);
    assert.notEqual(statSync('/').gid, 4321);
  });
});
