import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import type { Pod } from '../../../../api/core/pod.ts';
import type { Container, PodSpec } from '../../../../api/core/pod-spec.ts';
import { systemClock } from '../../../../lib/clock.ts';
import { until } from '../../../../lib/testing/until.ts';
import { silentLogger } from '../../../../observe/log.ts';
import type { Driver, Mount, RunningContainer, Sandbox } from '../../driver.ts';
import type { Image } from '../../images/image.ts';
import { findHierarchy } from './cgroups/hierarchy.ts';
import { containerDriver } from './index.ts';
import { Namespaces } from './namespaces.ts';
import { hostImage } from './testing/host-image.ts';
import { noContainers } from './testing/real-container.ts';

describe('rights and limits of containers of the driver', { skip: noContainers }, () => {
  let dir: string;
  let image: Image;
  let driver: Driver;
  let serial = 0;
  const sandboxes: Sandbox[] = [];
  const { signal } = new AbortController();

  before(() => {
    dir = mkdtempSync(join(tmpdir(), 'kittiwake-rights-'));
    image = hostImage(dir, { config: { user: 'web' } });
    writeFileSync(join(dir, 'root/etc/passwd'), 'root:x:0:0:::\nweb:x:33:34:::\n');
    writeFileSync(join(dir, 'root/etc/group'), 'tape:x:26:web\n');
    driver = containerDriver({ dataDir: dir, address: '127.0.0.1', clock: systemClock, log: silentLogger });
  });
  afterEach(async () => {
    for (const sandbox of sandboxes.splice(0)) await sandbox.remove();
  });
  after(async () => {
    await driver.close();
    rmSync(dir, { recursive: true, force: true });
  });

  interface Started {
    running: RunningContainer;
    pod: Pod;
    text(): string;
  }
  async function start(
    script: string,
    container: Partial<Container> = {},
    more: Partial<PodSpec> = {},
    mounts: readonly Mount[] = [],
  ) {
    const uid = `pod-${++serial}`;
    const spec: Container = { name: 'c', image: 'test', ...container };
    const metadata = { name: uid, namespace: 'default', uid };
    const pod: Pod = { apiVersion: 'v1', kind: 'Pod', metadata, spec: { containers: [spec], ...more } };
    const sandbox = await driver.sandbox(pod, signal);
    sandboxes.push(sandbox);
    const logPath = join(dir, `${uid}.log`);
    const given = { image, argv: ['/bin/sh', '-c', script], workingDir: '/', environment: {}, mounts, logPath };
    const running = await sandbox.start({ id: { podUid: uid, container: 'c', restart: 0 }, spec, ...given }, signal);
    return { running, pod, text: () => readFileSync(logPath, 'utf8') } satisfies Started;
  }

  test('a container that eats its memory is killed for that, and says so', async () => {
    const { running } = await start('exec dd if=/dev/zero of=/dev/shm/full bs=1M count=60', {
      resources: { limits: { memory: '24Mi' } },
    });
    const { exitCode, isOutOfMemory, isUnknown } = await running.exited;
    assert.deepEqual({ exitCode, isOutOfMemory, isUnknown }, { exitCode: 137, isOutOfMemory: true, isUnknown: false });
  });

  test('one that is killed by anybody else is not', async () => {
    const { running } = await start('kill -9 $$; sleep 1000', { resources: { limits: { memory: '64Mi' } } });
    running.signal('SIGKILL');
    const { exitCode, isOutOfMemory } = await running.exited;
    assert.deepEqual([exitCode, isOutOfMemory], [137, undefined]);
  });

  test('the user is looked up in the image, over all its layers', async () => {
    const { running, text } = await start('id -u; id -g; id -G');
    await running.exited;
    assert.equal(text(), '33\n34\n34 26\n');
  });

  test('whoever must not be root, and cannot be seen not to be, does not start', async () => {
    await assert.rejects(start('true', { securityContext: { runAsNonRoot: true } }), {
      reason: 'CreateContainerConfigError',
      message: /^container has runAsNonRoot and image has non-numeric user \(web\), cannot verify user is non-root/,
    });
  });

  test('the pod has limits of its own, and a pod without any cannot fork for ever', async () => {
    const found = findHierarchy();
    assert.ok('hierarchy' in found);
    const { mounts } = found.hierarchy;
    const limits = { cpu: '500m', memory: '64Mi' };
    const { pod, running } = await start('sleep 1000', { resources: { limits, requests: limits } });
    const group = (tree = '') =>
      readdirSync(tree, { recursive: true, encoding: 'utf8' }).find((path) => path.endsWith(`/pod${pod.metadata.uid}`));
    const at = (name: 'pids' | 'memory') => join(mounts[name] ?? '', group(mounts[name]) ?? '');
    assert.equal(readFileSync(join(at('pids'), 'pids.max'), 'utf8'), '4096\n');
    const memory = found.hierarchy.version === 1 ? 'memory.limit_in_bytes' : 'memory.max';
    assert.equal(readFileSync(join(at('memory'), memory), 'utf8'), `${64 * 2 ** 20}\n`);
    running.signal('SIGKILL');
    await running.exited;
  });

  test('a volume in memory is of the pod: as large as asked, open to all, and gone with it', async () => {
    const { pod, running } = await start('sleep 1000');
    const sandbox = sandboxes.find(({ podUid }) => podUid === pod.metadata.uid);
    const path = await sandbox?.memoryVolume?.('scratch', 1_048_576);
    assert.ok(path);
    assert.equal(await sandbox?.memoryVolume?.('scratch', 1_048_576), path);
    assert.ok(new Namespaces(dirname(path), systemClock).podUids().includes(pod.metadata.uid ?? ''));
    const { type, blocks, bsize } = statfsSync(path);
    assert.deepEqual([type, blocks * bsize, statSync(path).mode & 0o7777], [0x01021994, 1_048_576, 0o777]);
    running.signal('SIGKILL');
    await sandbox?.remove();
    assert.ok(!existsSync(path));
    assert.ok(!readFileSync('/proc/self/mountinfo', 'utf8').includes(path));
  });

  test('a folder and a file of a volume are mounted by subPath', async () => {
    const within = join(dir, 'volume');
    mkdirSync(join(within, 'odd name'), { recursive: true });
    writeFileSync(join(within, 'odd name/file'), 'of the folder ');
    writeFileSync(join(within, 'settings'), 'of the file');
    const at = (inner: string, path: string) => ({ source: join(within, inner), within, path, isReadOnly: true });
    const mounts = [at('odd name', '/data'), at('settings', '/etc/settings')];
    const { running, text } = await start('cat /data/file /etc/settings; echo >/data/new', {}, {}, mounts);
    assert.notEqual((await running.exited).exitCode, 0);
    assert.match(text(), /of the folder of the file/);
    assert.deepEqual(readdirSync(join(within, 'odd name')), ['file']);
  });

  test('one that leads through a link is not', async () => {
    const within = join(dir, 'linked');
    mkdirSync(within);
    symlinkSync('/', join(within, 'link'));
    const mount = { source: join(within, 'link/etc'), within, path: '/data', isReadOnly: true };
    await assert.rejects(start('ls /data', {}, {}, [mount]), {
      reason: 'CreateContainerConfigError',
      message: /^failed to prepare subPath for volumeMount: it leads through "link"/,
    });
  });

  test('what it writes beside its volumes is in one folder of the machine', async () => {
    const { running } = await start('echo text >/tmp/file; sleep 1000', { securityContext: { runAsUser: 0 } });
    const path = join(running.writablePath ?? '', 'tmp/file');
    await until(() => existsSync(path) && readFileSync(path, 'utf8') === 'text\n', 'a file in the folder');
    running.signal('SIGKILL');
    await running.exited;
  });

  test('a driver that is closed while a pod is being removed leaves no mount and no group', async () => {
    const { running } = await start('sleep 1000');
    const sandbox = sandboxes.pop();
    running.signal('SIGKILL');
    const removing = sandbox?.remove();
    await driver.close();
    assert.ok(!readFileSync('/proc/self/mountinfo', 'utf8').includes(dir));
    await removing;
    driver = containerDriver({ dataDir: dir, address: '127.0.0.1', clock: systemClock, log: silentLogger });
  });
});
