import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { childrenOf } from '../../../../lib/processes.ts';
import { until } from '../../../../lib/testing/until.ts';
import type { RunningContainer } from '../../driver.ts';
import { StartError } from '../../driver.ts';
import { readClaim } from '../claims.ts';
import { noContainers, TestDriver } from './testing/test-driver.ts';

const never = new AbortController().signal;
const plain = { hasStdin: false, hasTerminal: false };
const waits = 'trap "exit 143" TERM; echo up; while :; do sleep 1000 & wait; done';

describe('containers over an OCI runtime', { skip: noContainers }, () => {
  let node: TestDriver;
  const podDir = (uid: string) => join(node.dir, 'node/containers/pods', uid);
  const monitorOf = ({ id }: RunningContainer): number => {
    const claim = readClaim(podDir(id.podUid), id);
    assert.ok(claim && claim !== 'revoked');
    return claim.pid;
  };
  const isUp = (uid: string) => until(() => node.log(uid).includes('up'), `${uid} is up`);

  before(() => {
    node = new TestDriver();
  });
  after(async () => {
    await node.close();
    assert.deepEqual(readFileSync('/proc/self/mountinfo', 'utf8').match(new RegExp(node.dir, 'g')), null);
  });

  test('an end that no agent has seen is known to the next, with its code and its time', async () => {
    const sandbox = await node.sandbox('unseen');
    const running = await node.start(sandbox, 'echo up; while [ ! -e /tmp/go ]; do sleep 0.05; done; exit 7');
    await isUp('unseen');
    await running.exec(['/bin/sh', '-c', 'echo >/tmp/go'], plain, never);
    const { finishedAtMs } = await running.exited;
    const [found] = await node.reopen();
    assert.deepEqual(found?.containers, []);
    assert.deepEqual(found?.exitOf(running.id), { exitCode: 7, isUnknown: false, finishedAtMs });
    assert.equal(found?.exitOf({ ...running.id, restart: 1 }), undefined);
    await found?.remove();
  });

  test('a container whose runtime is killed has ended, nobody knows how, and nothing of it is left', async () => {
    const sandbox = await node.sandbox('orphan');
    const running = await node.start(sandbox, waits);
    await isUp('orphan');
    const [runtime] = childrenOf(monitorOf(running));
    assert.match(String(runtime?.command), /runc|crun|youki/);
    process.kill(runtime?.pid ?? 0, 'SIGKILL');
    const exit = await running.exited;
    assert.deepEqual([exit.exitCode, exit.isUnknown], [137, true]);
    assert.equal(sandbox.exitOf(running.id), undefined);
    const again = await node.start(sandbox, 'exit 3', { id: { ...running.id, restart: 1 } });
    assert.equal((await again.exited).exitCode, 3);
    await sandbox.remove();
  });

  test('a container whose shell is killed has ended, too, with all that it was', async () => {
    const sandbox = await node.sandbox('headless');
    const running = await node.start(sandbox, waits);
    await isUp('headless');
    process.kill(monitorOf(running), 'SIGKILL');
    assert.equal((await running.exited).isUnknown, true);
    await sandbox.remove();
    assert.deepEqual(node.leftovers(), []);
  });

  test('what cannot be run is a failure in the words of the runtime, and none of its log', async () => {
    const sandbox = await node.sandbox('unable');
    const { root = '' } = node.image.layers[0] ?? {};
    writeFileSync(join(root, 'bin/text'), 'no program\n');
    for (const [argv, pattern] of [
      [
        ['frobnicate'],
        /^OCI runtime create failed: .*exec: "frobnicate": executable file not found in \$PATH: unknown$/,
      ],
      [['/not/there'], /exec: "\/not\/there": stat \/not\/there: no such file or directory/],
      [['/bin/text'], /exec: "\/bin\/text": permission denied/],
      [['/tmp'], /exec: "\/tmp": (permission denied|is a directory)/],
    ] as const) {
      await assert.rejects(node.start(sandbox, '', { argv }), (error) => {
        assert.ok(error instanceof StartError, String(error));
        assert.equal(error.reason, 'RunContainerError');
        assert.match(error.message, pattern);
        return true;
      });
      assert.equal(node.log('unable'), '');
    }
    chmodSync(join(root, 'bin/text'), 0o755);
    const running = await node.start(sandbox, '', { argv: ['/bin/text'] });
    assert.equal((await running.exited).exitCode, 1);
    assert.match(node.log('unable'), /exec format error/);
    await sandbox.remove();
    assert.deepEqual(node.leftovers(), []);
  });

  test('a command that is not there is a failure in the words of the runtime', async () => {
    const sandbox = await node.sandbox('no-command');
    const running = await node.start(sandbox, waits);
    const asking = running.exec(['frobnicate'], plain, never);
    await assert.rejects(
      asking,
      /^Error: OCI runtime exec failed: .*"frobnicate": executable file not found in \$PATH/,
    );
    await sandbox.remove();
  });

  test('a terminal is read and written by who attaches to it, and has their size', async () => {
    const sandbox = await node.sandbox('terminal');
    const spec = { name: 'c', tty: true, stdin: true };
    const running = await node.start(sandbox, 'while read -r line; do stty size; echo "<$line>"; done', { spec });
    const ending = new AbortController();
    const streams = await running.attach({ hasStdin: true, hasTerminal: true }, ending.signal);
    let text = '';
    streams.stdout.on('data', (chunk) => {
      text += chunk;
    });
    streams.resize?.({ columns: 101, rows: 31 });
    const isSized = () => {
      streams.stdin?.write('hello\n');
      return /31 101\r\n<hello>\r\n/.test(text);
    };
    await until(isSized, () => text);
    ending.abort();
    assert.deepEqual(sandbox.containers, [running]);
    await sandbox.remove();
  });

  test('containers of a pod share their memory, their name and, when it says so, their processes', async () => {
    const containers = [{ name: 'a' }, { name: 'b' }];
    const spec = { containers, hostname: 'together', subdomain: 'sub', shareProcessNamespace: true };
    const aliases = [{ ip: '192.0.2.7', hostnames: ['far', 'away'] }];
    const sandbox = await node.sandbox('pair', { ...spec, hostAliases: aliases });
    const a = await node.start(sandbox, `echo hi >/dev/shm/note; ${waits}`, { spec: { name: 'a' } });
    const b = await node.start(sandbox, waits, { spec: { name: 'b' } });
    await until(() => node.log('pair', 'a') && node.log('pair', 'b'), 'both are up');
    const said = async (script: string) => {
      const { stdout, exited } = await b.exec(['/bin/sh', '-c', script], plain, never);
      let text = '';
      for await (const chunk of stdout) text += chunk;
      return [text, await exited];
    };
    assert.deepEqual(await said('cat /dev/shm/note; cat /proc/sys/kernel/hostname'), ['hi\ntogether\n', 0]);
    assert.match(
      String(await said('cat /etc/hosts')),
      /127\.0\.0\.1\ttogether\.sub\.default\.svc\.cluster\.local\ttogether/,
    );
    assert.match(String(await said('cat /etc/hosts')), /192\.0\.2\.7\tfar\taway/);
    assert.deepEqual(await said('cat /etc/hostname'), ['together\n', 0]);
    assert.match(String(await said('cat /proc/[0-9]*/cmdline | head -c 4000')), /note/);
    a.signal('SIGKILL');
    await a.exited;
    // What it had started is gone with it, and its neighbour is not.
    await until(
      async () => (await said('cat /proc/[0-9]*/cmdline'))[0]?.toString().includes('note') === false,
      'a is gone',
    );
    assert.deepEqual(sandbox.containers, [b]);
    const [found] = await node.reopen();
    assert.deepEqual(
      found?.containers.map(({ id }) => id.container),
      ['b'],
    );
    await found?.remove();
    assert.deepEqual(node.leftovers(), []);
  });

  test('a port is reached by forwarding on which only the pod itself could', async () => {
    const sandbox = await node.sandbox('loopback');
    await assert.rejects(sandbox.forward(4711), /4711/);
    await sandbox.remove();
  });

  test('an image of 120 layers is stacked', async () => {
    const layers = Array.from({ length: 119 }, (_, index) => {
      const root = join(node.dir, `layers/${'long-name-'.repeat(8)}${index}`);
      mkdirSync(root, { recursive: true });
      writeFileSync(join(root, 'top'), `${index}`);
      writeFileSync(join(root, `only-${index}`), '');
      return { digest: '', root, whiteouts: [], opaques: [], implicit: [], sizeBytes: 0 };
    });
    const image = { ...node.image, digest: `sha256:${'1'.repeat(64)}`, layers: [...node.image.layers, ...layers] };
    const sandbox = await node.sandbox('layered');
    const running = await node.start(sandbox, 'cat /top; ls / | grep -c only-', { image });
    assert.equal((await running.exited).exitCode, 0);
    assert.equal(node.log('layered'), '118119\n');
    await sandbox.remove();
  });

  test('a program that uses up its memory is known to have', async () => {
    const limits = { memory: '24Mi' };
    const container = { name: 'c', resources: { limits, requests: limits } };
    const sandbox = await node.sandbox('eater', { containers: [container] });
    const script = 'x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done';
    const running = await node.start(sandbox, script, { spec: container });
    const { exitCode, isOutOfMemory } = await running.exited;
    assert.deepEqual([exitCode, isOutOfMemory], [137, true]);
    await sandbox.remove();
  });

  test('of another run of the machine nothing is believed, and nothing stays', async () => {
    const sandbox = await node.sandbox('before');
    const running = await node.start(sandbox, waits);
    await isUp('before');
    for (const name of ['sandbox.json', 'c.record.json']) {
      const path = join(podDir('before'), name);
      writeFileSync(path, readFileSync(path, 'utf8').replace(/"bootId": ".*?"/, '"bootId": "another"'));
    }
    const [found] = await node.reopen();
    assert.deepEqual(found?.containers, []);
    const made = await node.sandbox('before');
    assert.equal(made, found);
    assert.equal((await running.exited).isUnknown, true); // It was not let run on beside its successor.
    const again = await node.start(made, 'exit 5');
    assert.equal((await again.exited).exitCode, 5);
    await made.remove();
    assert.deepEqual(node.leftovers(), []);
  });

  test('records that are none, and names that are odd, bring nobody down', async () => {
    for (const [uid, files] of Object.entries({
      torn: { 'sandbox.json': '{"podUid":"to' },
      foreign: { 'sandbox.json': '[]', 'c.record.json': 'null', 'c.0.pid': '1 (x) S\n' },
      empty: {},
    })) {
      mkdirSync(podDir(uid), { recursive: true });
      for (const [name, text] of Object.entries(files)) writeFileSync(join(podDir(uid), name), text);
    }
    const found = await node.reopen();
    assert.deepEqual(found.map(({ podUid }) => podUid).sort(), ['empty', 'foreign', 'torn']);
    for (const sandbox of found) {
      assert.deepEqual(sandbox.containers, []);
      await sandbox.remove();
    }
    assert.deepEqual(node.leftovers(), []);
  });

  test('input stays open for whoever attaches, one after the other', async () => {
    const sandbox = await node.sandbox('asking');
    const spec = { name: 'c', stdin: true };
    const running = await node.start(sandbox, 'while read -r line; do echo "<$line>"; done', { spec });
    for (const word of ['first', 'second']) {
      const ending = new AbortController();
      const streams = await running.attach({ hasStdin: true, hasTerminal: false }, ending.signal);
      streams.stdin?.write(`${word}\n`);
      assert.equal(String((await once(streams.stdout, 'data'))[0]), `<${word}>\n`);
      ending.abort();
    }
    await sandbox.remove();
    const other = await node.start(await node.sandbox('deaf'), waits);
    await assert.rejects(other.attach({ hasStdin: true, hasTerminal: false }, never), /'stdin: true'/);
    const [left] = (await node.reopen()).filter(({ podUid }) => podUid === 'deaf');
    await left?.remove();
  });
});
