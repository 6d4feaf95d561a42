import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, describe, test } from 'node:test';
import { systemClock } from '../../../../../lib/clock.ts';
import { until } from '../../../../../lib/testing/until.ts';
import { noContainers, RealContainers } from '../testing/real-container.ts';
import { specInput } from '../testing/spec-input.ts';
import { Cgroups } from './cgroups.ts';
import { findHierarchy, type Hierarchy } from './hierarchy.ts';

describe('limits of a real container', { skip: noContainers }, () => {
  const containers = noContainers ? undefined : new RealContainers(64);
  after(() => containers?.close());
  const run = (options: Parameters<RealContainers['run']>[0]) => {
    assert.ok(containers);
    return containers.run(options);
  };

  test('a container that wants more memory than its limit is killed, and that is seen', async () => {
    const limits = { memory: '64Mi' };
    const hungry = `perl -e '$text = "x" x 200_000_000; print length $text'`;
    const killed = await run({ script: hungry, container: { resources: { limits } } });
    assert.deepEqual([killed.exitCode, killed.stdout, killed.outOfMemoryKills], [137, '', 1]);
    const spared = await run({ script: hungry });
    assert.deepEqual([spared.exitCode, spared.stdout, spared.outOfMemoryKills], [0, '200000000', 0]);
  });

  test('the memory of /dev/shm counts, too', async () => {
    const script = 'dd if=/dev/zero of=/dev/shm/full bs=1M count=60 2>/dev/null; echo $?';
    const { stdout, outOfMemoryKills } = await run({
      script,
      container: { resources: { limits: { memory: '24Mi' } } },
    });
    assert.match(stdout, /^137|^$/);
    assert.ok(outOfMemoryKills > 0);
  });

  test('processor time beyond the limit has to wait', async () => {
    const script = `perl -e '$i++ while $i < 3_000_000'`;
    const limited = await run({ script, container: { resources: { limits: { cpu: '100m' } } } });
    assert.deepEqual([limited.exitCode, limited.throttledPeriods > 0], [0, true]);
  });

  test('a fork bomb finds no more processes than a pod may have, and ends with it', async () => {
    assert.ok(containers);
    let seen = 0;
    const bomb =
      'for (1 .. 500) { $pid = fork; defined $pid or print("refused after $_") && exit 3; $pid or sleep 600 }';
    const script = `perl -e '${bomb}'`;
    const { exitCode, stdout } = await run({
      script,
      whileKept: (path) => (seen = containers.cgroups.processes(path).length),
    });
    assert.equal(exitCode, 3);
    const count = Number(/refused after (\d+)/.exec(stdout)?.[1]);
    assert.ok(count > 32 && count <= 64, `${count} processes`);
    assert.equal(seen, 0, 'the end of its first process is the end of all');
  });

  test('nothing of its control groups is left', () => {
    assert.deepEqual(containers?.cgroups.podUids(), []);
  });
});

describe('pods that come and go', { skip: noContainers }, () => {
  test('take no group away that a runtime is just making for another', async () => {
    const [hierarchy] = hierarchiesHere();
    assert.ok(hierarchy);
    const cgroups = new Cgroups({ hierarchy, id: randomUUID().slice(0, 8), clock: systemClock });
    const [stays, goes] = ['a', 'b'].map((uid) => {
      const { pod } = specInput();
      return { ...pod, metadata: { ...pod.metadata, uid } };
    });
    assert.ok(stays && goes);
    cgroups.makePod(stays);
    for (let i = 0; i < 3; i++) {
      cgroups.makePod(goes);
      await cgroups.remove('b');
    }
    const missing = hierarchy.trees.filter((tree) => !existsSync(join(tree, cgroups.pathOf(stays))));
    assert.deepEqual(missing, []);
    await cgroups.remove('a');
    const left = hierarchy.trees.filter((tree) => existsSync(join(tree, dirname(dirname(cgroups.pathOf(stays))))));
    assert.deepEqual(left, []);
  });
});

/** The tree of version 2, which also a machine with both has, and all of version 1. */
const hierarchies = noContainers ? [] : hierarchiesHere();

describe('the end of a pod that does not want to', { skip: noContainers }, () => {
  for (const hierarchy of hierarchies) {
    test(`under version ${hierarchy.version} all that it starts is ended, and its groups go`, async () => {
      const cgroups = new Cgroups({ hierarchy, id: randomUUID().slice(0, 8), clock: systemClock, podPidsMax: 40 });
      const { pod } = specInput({ pod: {} });
      pod.metadata.uid = randomUUID();
      cgroups.makePod(pod);
      const path = cgroups.pathOf(pod, { container: 'main', restart: 0 });
      // It goes into the groups itself, as the OCI runtime's first process does.
      const trees = hierarchy.trees.filter((tree) => !existsSync(join(tree, 'cpuset.cpus'))); // Needs more than that.
      const groups = trees.map((tree) => join(tree, path));
      for (const group of groups) mkdirSync(group);
      const enter = groups.map((group) => `echo $$ >${group}/cgroup.procs`).join(' && ');
      // Each forks as often as this. Where nothing counts processes, that makes 64 of them.
      const times = existsSync(join(groups[0] ?? '', 'pids.max')) || hierarchy.version === 1 ? 1000 : 6;
      const bomb = `$SIG{TERM} = "IGNORE"; for (;;) { fork if $n++ < ${times}; select undef, undef, undef, 0.01 }`;
      const child = spawn('sh', ['-c', `${enter} && exec perl -e '${bomb}'`]);
      try {
        await until(() => cgroups.processes(path).length >= 5);
        await cgroups.remove(pod.metadata.uid);
        assert.deepEqual(
          groups.filter((group) => existsSync(dirname(group))),
          [],
        );
        assert.deepEqual(cgroups.podUids(), []);
        await until(() => child.exitCode !== null || child.signalCode !== null);
        assert.equal(child.signalCode, 'SIGKILL');
      } finally {
        child.kill('SIGKILL');
        await cgroups.remove(pod.metadata.uid);
      }
    });
  }
});

function hierarchiesHere(): Hierarchy[] {
  const found = findHierarchy();
  if ('missing' in found) return [];
  const { hierarchy } = found;
  const unified = hierarchy.trees.find((tree) => existsSync(join(tree, 'cgroup.controllers')));
  if (hierarchy.version === 2 || unified === undefined) return [hierarchy];
  const mounts = { cpu: unified, cpuacct: unified, memory: unified, pids: unified };
  return [hierarchy, { version: 2, mounts, trees: [unified], base: '/' }];
}
