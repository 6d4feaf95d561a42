import assert from 'node:assert/strict';
import { existsSync, lstatSync, mkdtempSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { ConfigMapKind } from '../../../../api/core/config-map.ts';
import { PersistentVolumeKind } from '../../../../api/core/persistent-volume.ts';
import { PersistentVolumeClaimKind } from '../../../../api/core/persistent-volume-claim.ts';
import { type Pod, PodKind } from '../../../../api/core/pod.ts';
import type { Container, PodSpec, Volume } from '../../../../api/core/pod-spec.ts';
import { openTestRegistry, type TestLayer, type TestRegistry } from '../../testing/test-images.ts';
import { openTestNode, type TestNode } from '../../testing/test-node.ts';
import { containerDriver } from './index.ts';
import { noContainers } from './testing/real-container.ts';

/** Where this machine's programs are: folders to mount, and links to them for the image. */
const systemFolders = ['usr', 'bin', 'sbin', 'lib', 'lib64'].filter((name) => existsSync(`/${name}`));
const isLink = (name: string) => lstatSync(`/${name}`).isSymbolicLink();
const layer: TestLayer = Object.fromEntries([
  ...systemFolders.filter(isLink).map((name) => [name, { type: 'symlink', linkname: readlinkSync(`/${name}`) }]),
  ['etc/passwd', 'web:x:33:34:::\n'],
]);
const mounted = systemFolders.filter((name) => !isLink(name));

describe('pods in containers', { skip: noContainers }, () => {
  let registry: TestRegistry;
  let node: TestNode;
  let image: string;
  before(async () => {
    registry = await openTestRegistry();
    node = await openTestNode(registry.client, { openDriver: containerDriver, storagePeriodMs: 100 });
    image = await registry.push([layer], { Entrypoint: ['/bin/sh', '-c'], WorkingDir: '/', Labels: {} });
  });
  after(async () => {
    await node?.stop();
    await registry?.stop();
  });
  afterEach(async () => {
    for (const { metadata } of (await node.client.list(PodKind, {})).items) await node.remove(metadata.name);
  });

  function run(name: string, script: string, container: Partial<Container> = {}, spec: Partial<PodSpec> = {}) {
    const system: Volume[] = mounted.map((each) => ({ name: each, hostPath: { path: `/${each}` } }));
    const systemMounts = mounted.map((each) => ({ name: each, mountPath: `/${each}`, readOnly: true }));
    const { volumeMounts = [], ...rest } = container;
    return node.client.create(PodKind, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace: 'default' },
      spec: {
        restartPolicy: 'Never',
        terminationGracePeriodSeconds: 1,
        ...spec,
        containers: [{ name: 'c', image, args: [script], volumeMounts: [...systemMounts, ...volumeMounts], ...rest }],
        volumes: [...system, ...(spec.volumes ?? [])],
      },
    });
  }
  const over = (name: string) =>
    node.until(name, 'over', (pod) => pod?.status?.containerStatuses?.[0]?.state?.terminated !== undefined);
  const endOf = (pod: Pod) => pod.status?.containerStatuses?.[0]?.state?.terminated;

  test('one that eats its memory is OOMKilled with 137', async () => {
    const resources = { limits: { memory: '24Mi', cpu: '1' } };
    await run('hungry', 'exec dd if=/dev/zero of=/dev/shm/full bs=1M count=60', { resources });
    const pod = await over('hungry');
    const { reason, exitCode } = endOf(pod) ?? {};
    assert.deepEqual([reason, exitCode, pod.status?.qosClass], ['OOMKilled', 137, 'Guaranteed']);
  });

  test("volumes on the disk and in memory may be written by whoever it runs as, and are its fsGroup's", async () => {
    const volumes = [
      { name: 'disk', emptyDir: {} },
      { name: 'memory', emptyDir: { medium: 'Memory', sizeLimit: '2Mi' } },
    ];
    const volumeMounts = [
      { name: 'disk', mountPath: '/disk' },
      { name: 'disk', mountPath: '/sub', subPath: 'deep/er' },
      { name: 'memory', mountPath: '/memory' },
    ];
    const script = [
      'for d in /disk /sub /memory; do stat -c "%a %g" $d; echo >$d/file; stat -c "%u %g" $d/file; done',
      'stat -f -c %T /memory; dd if=/dev/zero of=/memory/full bs=1M count=8 2>/dev/null; stat -c %s /memory/full',
    ].join('; ');
    const securityContext = { runAsUser: 1234, runAsGroup: 5, fsGroup: 4321 };
    await run('writer', script, { volumeMounts }, { volumes, securityContext });
    const pod = await over('writer');
    const lines = (await node.logs(pod)).trim().split('\n');
    const each = ['2777 4321', '1234 4321'];
    assert.deepEqual(lines.slice(0, 7), [...each, ...each, ...each, 'tmpfs']);
    assert.ok(Number(lines[7]) <= 2 * 2 ** 20, lines[7]);
  });

  test('one that fills its own root is evicted', async () => {
    const resources = { limits: { 'ephemeral-storage': '1Mi' } };
    await run('greedy', 'dd if=/dev/urandom of=/full bs=1M count=4; exec sleep 1000', { resources });
    const pod = await node.until('greedy', 'evicted', (found) => found?.status?.phase === 'Failed');
    const message = 'Pod ephemeral local storage usage exceeds the total limit of containers 1Mi. ';
    assert.deepEqual([pod.status?.reason, pod.status?.message], ['Evicted', message]);
  });

  test('one that may not be root, and would be, waits with the reason', async () => {
    await run('root', 'true', { securityContext: { runAsNonRoot: true } });
    const pod = await node.until('root', 'refused', (found) =>
      Boolean(found?.status?.containerStatuses?.[0]?.state?.waiting?.reason === 'CreateContainerConfigError'),
    );
    const { message } = pod.status?.containerStatuses?.[0]?.state?.waiting ?? {};
    assert.match(message ?? '', /^container has runAsNonRoot and image will run as root \(pod: "root_default\(/);
  });

  test('one that wants the kernel set for all is rejected, and what is safe is set for it alone', async () => {
    const sysctls = (name: string, value: string) => ({ securityContext: { sysctls: [{ name, value }] } });
    await run('bold', 'true', {}, sysctls('kernel.msgmax', '10000000000'));
    const pod = await node.until('bold', 'rejected', (found) => found?.status?.phase === 'Failed');
    const why = 'forbidden sysctl: "kernel.msgmax" not allowlisted';
    assert.deepEqual([pod.status?.reason, pod.status?.message], ['SysctlForbidden', `Pod was rejected: ${why}`]);
    assert.ok((await node.events('bold', 'SysctlForbidden')).includes(`SysctlForbidden: ${why}`));
    const before = readFileSync('/proc/sys/kernel/shm_rmid_forced', 'utf8');
    await run('modest', 'cat /proc/sys/kernel/shm_rmid_forced', {}, sysctls('kernel.shm_rmid_forced', '1'));
    assert.equal(await node.logs(await over('modest')), '1\n');
    assert.equal(readFileSync('/proc/sys/kernel/shm_rmid_forced', 'utf8'), before);
  });

  test('what one leaves as its last words is told, also where it failed and left none', async () => {
    await run('words', 'printf "all is well" > /dev/termination-log');
    assert.equal(endOf(await over('words'))?.message, 'all is well');
    await run('place', 'printf 12345 > /tmp/why; exit 3', { terminationMessagePath: '/tmp/why' });
    const placed = endOf(await over('place'));
    assert.deepEqual([placed?.reason, placed?.exitCode, placed?.message], ['Error', 3, '12345']);
    const policy = { terminationMessagePolicy: 'FallbackToLogsOnError' } as const;
    await run('silent', 'echo DONE; exit 1', policy);
    assert.equal(endOf(await over('silent'))?.message, 'DONE');
    await run('fine', 'echo DONE', policy);
    assert.equal(endOf(await over('fine'))?.message, undefined);
  });

  test('a volume from the API changes in one that runs, and what is mounted of it by subPath does not', async () => {
    const meta = { name: 'live', namespace: 'default' };
    const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: meta, data: { level: 'low', same: '1' } };
    await node.client.create(ConfigMapKind, map);
    const look = 'while [ "$(cat /conf/level)" = low ]; do sleep 0.05; done; cat /conf/level /one; ls /conf; ';
    const volumeMounts = [
      { name: 'conf', mountPath: '/conf' },
      { name: 'conf', mountPath: '/one', subPath: 'level' },
    ];
    const volumes = [{ name: 'conf', configMap: { name: 'live' } }];
    await run('follows', `echo up; ${look} echo x > /conf/level || echo refused`, { volumeMounts }, { volumes });
    await node.until('follows', 'up', (pod) => pod?.status?.containerStatuses?.[0]?.state?.running !== undefined);
    const found = await node.client.get(ConfigMapKind, meta);
    assert.ok(found);
    await node.client.update(ConfigMapKind, { ...found, data: { level: 'high', more: '1' } });
    const pod = await over('follows');
    const said = await node.logs(pod);
    for (const expected of [/^up\nhighlow/, /level\nmore\n/, /Read-only file system/]) assert.match(said, expected);
  });

  test('a claim keeps what one wrote for the next', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'kittiwake-claimed-'));
    try {
      const [name, namespace] = ['kept', 'default'];
      const access = { accessModes: ['ReadWriteOnce'] };
      const claim = await node.client.create(PersistentVolumeClaimKind, {
        apiVersion: 'v1',
        kind: 'PersistentVolumeClaim',
        metadata: { name, namespace },
        spec: { ...access, volumeName: name, resources: { requests: { storage: '1Gi' } } },
      });
      const claimRef = { name, namespace, uid: claim.metadata.uid ?? '' };
      await node.client.create(PersistentVolumeKind, {
        apiVersion: 'v1',
        kind: 'PersistentVolume',
        metadata: { name },
        spec: { ...access, capacity: { storage: '1Gi' }, hostPath: { path: dir }, claimRef },
      });
      const status = { phase: 'Bound', ...access };
      await node.client.update(PersistentVolumeClaimKind, { ...claim, status }, 'status');
      const volumeMounts = [{ name: 'data', mountPath: '/data', subPath: 'db' }];
      const volumes = [{ name: 'data', persistentVolumeClaim: { claimName: name } }];
      await run('writes', 'echo rows > /data/table', { volumeMounts }, { volumes });
      assert.equal(endOf(await over('writes'))?.exitCode, 0);
      await node.remove('writes');
      await run('reads', 'cat /data/table', { volumeMounts }, { volumes });
      assert.equal(await node.logs(await over('reads')), 'rows\n');
      await node.remove('reads');
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
});
