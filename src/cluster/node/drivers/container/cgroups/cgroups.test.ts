import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { Pod } from '../../../../../api/core/pod.ts';
import { systemClock } from '../../../../../lib/clock.ts';
import { specInput } from '../testing/spec-input.ts';
import { Cgroups } from './cgroups.ts';
import type { Hierarchy } from './hierarchy.ts';

/** A folder in place of the kernel's: what is read and written there under version 2 is the same text. */
describe('control groups of version 2', () => {
  let tree: string;
  let cgroups: Cgroups;
  const pod = (uid: string, requests?: Record<string, string>, limits?: Record<string, string>): Pod => {
    const resources = { ...(requests ? { requests } : {}), ...(limits ? { limits } : {}) };
    const { pod } = specInput({ pod: { containers: [{ name: 'main', resources }] } });
    return { ...pod, metadata: { ...pod.metadata, uid } };
  };
  const put = (path: string, files: Record<string, string>) => {
    mkdirSync(join(tree, path), { recursive: true });
    for (const [name, text] of Object.entries(files)) writeFileSync(join(tree, path, name), text);
  };
  const at = (path: string) => readFileSync(join(tree, path), 'utf8');
  const kernelFiles = { 'cpu.weight': '', 'cpu.max': '', 'memory.max': '', 'pids.max': '' };

  beforeEach(() => {
    tree = mkdtempSync(join(tmpdir(), 'kittiwake-cgroups-'));
    const mounts = { cpu: tree, cpuacct: tree, memory: tree, pids: tree };
    const hierarchy: Hierarchy = { version: 2, mounts, trees: [tree], base: '/user' };
    cgroups = new Cgroups({ hierarchy, id: 'x1', clock: systemClock, podPidsMax: 99 });
    put('/user', { 'cgroup.controllers': 'cpuset cpu memory pids\n' });
  });
  afterEach(() => rmSync(tree, { recursive: true, force: true }));

  test('a pod is below the class of its quality of service, as the kubelet has it', () => {
    const start = { container: 'main', restart: 3 };
    const whole = { cpu: '1', memory: '1Gi' };
    assert.equal(cgroups.pathOf(pod('a', whole, whole), start), '/user/kittiwake-x1/poda/main.3');
    assert.equal(cgroups.pathOf(pod('a', { cpu: '1' })), '/user/kittiwake-x1/burstable/poda');
    assert.equal(cgroups.pathOf(pod('a')), '/user/kittiwake-x1/besteffort/poda');
  });

  test('names that would be other paths are none', () => {
    for (const uid of ['', '..', 'a/b', '../../system.slice', 'a\0']) {
      assert.throws(() => cgroups.pathOf(pod(uid)), /can be a group's name/);
    }
    assert.throws(() => cgroups.pathOf(pod('a'), { container: '../x', restart: 0 }), /can be a group's name/);
  });

  test("a pod's group has its limits, and its parents hand the controllers down", () => {
    put('/user/kittiwake-x1/burstable/poda', kernelFiles);
    put('/user/kittiwake-x1/burstable', kernelFiles);
    cgroups.makePod(pod('a', { cpu: '250m' }, { cpu: '500m', memory: '64Mi' }));
    const folder = '/user/kittiwake-x1/burstable/poda';
    assert.equal(at(`${folder}/cpu.weight`), '10');
    assert.equal(at(`${folder}/cpu.max`), '50000 100000');
    assert.equal(at(`${folder}/memory.max`), String(64 * 2 ** 20));
    assert.equal(at(`${folder}/pids.max`), '99');
    assert.equal(at('/user/cgroup.subtree_control'), '+pids', 'the last that was asked for');
    assert.equal(at('/user/kittiwake-x1/burstable/cpu.weight'), '10', 'what its pods ask for together');
  });

  test('what a group uses is read as the kubelet reads it', () => {
    put('/user/g', {
      'cpu.stat': 'usage_usec 1234567\nuser_usec 1\nnr_periods 9\nnr_throttled 4\n',
      'memory.current': '5000\n',
      'memory.stat': 'anon 1\nfile 2\ninactive_file 1500\nactive_file 3\n',
      'memory.events': 'low 0\nhigh 0\nmax 7\noom 2\noom_kill 3\noom_group_kill 1\n',
      'pids.current': '6\n',
    });
    assert.deepEqual(cgroups.stats('/user/g'), {
      cpuUsageNs: 1_234_567_000,
      memoryUsageBytes: 5000,
      memoryWorkingSetBytes: 3500,
      pids: 6,
    });
    assert.equal(cgroups.outOfMemoryKills('/user/g'), 3);
    assert.equal(cgroups.throttledPeriods('/user/g'), 4);
    assert.equal(cgroups.stats('/user/gone'), undefined);
    assert.equal(cgroups.outOfMemoryKills('/user/gone'), 0);
  });

  test('pods that have groups are found, whoever made them', () => {
    for (const path of ['poda', 'burstable/podb', 'besteffort/podc', 'burstable/other'])
      put(`/user/kittiwake-x1/${path}`, {});
    assert.deepEqual(cgroups.podUids().sort(), ['a', 'b', 'c']);
  });
});
