import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { noContainers, RealContainers } from '../testing/real-container.ts';

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
