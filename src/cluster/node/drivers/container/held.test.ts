import assert from 'node:assert/strict';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { isRunning, type ProcessIdentity } from '../../../../lib/process-identity.ts';
import { childrenOf } from '../../../../lib/processes.ts';
import { findProgram } from '../../../../lib/system-programs.ts';
import { until } from '../../../../lib/testing/until.ts';
import type { ContainerOnNode, Sandbox } from '../../driver.ts';
import { readClaim } from '../claims.ts';
import { canHold } from './held.ts';
import { noContainers, TestDriver } from './testing/test-driver.ts';

const never = new AbortController().signal;
const isHolding = noContainers === false && (await canHold(findProgram('runc') ?? ''));
const skip = noContainers || (isHolding ? false : 'this OCI runtime has no way to wait');

describe('a held start', { skip }, () => {
  let node: TestDriver;

  before(() => {
    node = new TestDriver();
  });
  after(() => node.close());

  const containerOf = (podUid: string, script: string, more: Partial<ContainerOnNode> = {}): ContainerOnNode => ({
    id: { podUid, container: 'c', restart: 0 },
    spec: { name: 'c' },
    image: node.image,
    argv: ['/bin/sh', '-c', script],
    workingDir: '/',
    environment: {},
    mounts: [{ source: node.dir, path: '/witness', isReadOnly: false }],
    logPath: node.logPath(podUid),
    ...more,
  });
  const held = async (container: ContainerOnNode): Promise<Sandbox> => {
    const sandbox = await node.sandbox(container.id.podUid);
    assert.equal(await sandbox.hold?.(container, never), true);
    return sandbox;
  };

  test('runs nothing of its program until it is started, and then with its exit code known', async () => {
    const container = containerOf('waits', ': >/witness/waits; echo here; exit 7');
    const sandbox = await held(container);
    assert.deepEqual(sandbox.containers, []);
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(existsSync(join(node.dir, 'waits')), false);
    const before = Date.now();
    const running = await sandbox.start(container, never);
    assert.ok(running.startedAtMs >= before, 'its time is that of its start');
    const { exitCode, isUnknown } = await running.exited;
    assert.deepEqual([exitCode, isUnknown, node.log('waits')], [7, false, 'here\n']);
    assert.equal(sandbox.exitOf(container.id)?.exitCode, 7);
    await sandbox.remove();
    assert.deepEqual(node.leftovers(), []);
  });

  test('is taken once: the start after it is one of its own', async () => {
    const container = containerOf('once', 'echo run; exit 1');
    const sandbox = await held(container);
    await (await sandbox.start(container, never)).exited;
    const again = await sandbox.start({ ...container, id: { ...container.id, restart: 1 } }, never);
    assert.equal((await again.exited).exitCode, 1);
    assert.equal(node.log('once'), 'run\nrun\n');
    await sandbox.remove();
    assert.deepEqual(node.leftovers(), []);
  });

  for (const [what, change] of [
    ['environment', { environment: { COLOR: 'blue' } }],
    ['arguments', { argv: ['/bin/sh', '-c', 'echo other'] }],
    ['limits', { spec: { name: 'c', resources: { limits: { memory: '64Mi' } } } }],
  ] as const) {
    test(`of another ${what} than is wanted ends without having run`, async () => {
      const container = containerOf('changed', 'echo "color $COLOR"');
      const sandbox = await held(container);
      const running = await sandbox.start({ ...container, ...change }, never);
      assert.equal((await running.exited).exitCode, 0);
      const printed = { environment: 'color blue\n', arguments: 'other\n', limits: 'color \n' }[what];
      assert.equal(node.log('changed').slice(-printed.length), printed);
      assert.equal(node.log('changed').match(/\n/g)?.length, 1, 'one program has run');
      await sandbox.remove();
      assert.deepEqual(node.leftovers(), []);
      rmSync(node.logPath('changed'));
    });
  }

  test('is gone with its sandbox, and has never run', async () => {
    const sandbox = await held(containerOf('dropped', ': >/witness/dropped'));
    await sandbox.remove();
    assert.deepEqual(node.leftovers(), []);
    assert.equal(existsSync(join(node.dir, 'dropped')), false);
  });

  for (const [what, victimOf] of [
    ['runtime', ({ pid }: ProcessIdentity) => childrenOf(pid)[0]?.pid ?? 0],
    ['shell', ({ pid }: ProcessIdentity) => pid],
  ] as const) {
    test(`whose ${what} is killed while it waits is made anew`, async () => {
      const container = containerOf('killed', 'echo run');
      const sandbox = await held(container);
      const shell = readClaim(join(node.dir, 'node/containers/pods/killed'), container.id);
      assert.ok(shell && shell !== 'revoked');
      process.kill(victimOf(shell), 'SIGKILL');
      await until(() => !isRunning(shell), 'the shell has ended');
      const running = await sandbox.start(container, never);
      assert.equal((await running.exited).exitCode, 0);
      assert.equal(node.log('killed'), 'run\n');
      await sandbox.remove();
      assert.deepEqual(node.leftovers(), []);
      rmSync(node.logPath('killed'));
    });
  }

  test('of an agent that is gone never runs, and is not found running', async () => {
    const container = containerOf('forgotten', ': >/witness/forgotten; sleep 1000');
    await held(container);
    const [found] = await node.reopen();
    assert.deepEqual([found?.podUid, found?.containers], ['forgotten', []]);
    assert.equal(found?.exitOf(container.id), undefined);
    assert.equal(existsSync(join(node.dir, 'forgotten')), false);
    await found?.remove();
    assert.deepEqual(node.leftovers(), []);
  });

  test('that was let go is found running by the next agent', async () => {
    const container = containerOf('found', 'trap "exit 9" TERM; echo up; while :; do sleep 1000 & wait; done');
    const sandbox = await held(container);
    await sandbox.start(container, never);
    const [found] = await node.reopen();
    const [running] = found?.containers ?? [];
    assert.deepEqual(running?.id, container.id);
    running?.signal('SIGKILL');
    assert.equal((await running?.exited)?.exitCode, 137);
    await found?.remove();
    assert.deepEqual(node.leftovers(), []);
  });

  test('what the OCI runtime cannot make is a failure at once, and leaves nothing', async () => {
    const sandbox = await node.sandbox('unable');
    const container = containerOf('unable', '', { argv: ['/frobnicate'] });
    await assert.rejects(async () => sandbox.hold?.(container, never), /frobnicate.*no such file or directory/);
    await sandbox.remove();
    assert.deepEqual(node.leftovers(), []);
  });

  test('a container with an input or a terminal is not held', async () => {
    const sandbox = await node.sandbox('input');
    for (const more of [{ stdin: true }, { tty: true }]) {
      const container = containerOf('input', 'cat', { spec: { name: 'c', ...more } });
      assert.equal(await sandbox.hold?.(container, never), false);
    }
    await sandbox.remove();
  });
});
