import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import type { Pod } from '../../../../api/core/pod.ts';
import { until } from '../../../../lib/testing/until.ts';
import type { Streams } from '../../driver.ts';
import { openTestRegistry, type TestRegistry } from '../../testing/test-images.ts';
import { openTestNode, program, server, type TestNode } from '../../testing/test-node.ts';

const hasFifos = spawnSync('mkfifo', ['--version'], { stdio: 'ignore' }).status === 0;
const hasScript = spawnSync('script', ['--version'], { stdio: 'ignore' }).status === 0;

describe('the input of a program', { skip: !(hasFifos && hasScript) && 'needs mkfifo and script' }, () => {
  let registry: TestRegistry;
  let node: TestNode;
  let image: string;
  const open: AbortController[] = [];
  before(async () => {
    registry = await openTestRegistry();
    node = await openTestNode(registry.client);
    image = await registry.push([program(server)]);
  });
  after(async () => {
    for (const each of open) each.abort();
    await node.stop();
    await registry.stop();
  });

  const isRunning = (pod: Pod | undefined) => pod?.status?.containerStatuses?.[0]?.state?.running !== undefined;
  const isDone = (pod: Pod | undefined) => pod?.status?.phase === 'Succeeded';

  async function attach(pod: Pod, hasTerminal = false): Promise<{ streams: Streams; said(): string; leave(): void }> {
    const leaving = new AbortController();
    open.push(leaving);
    const wanted = { container: 'c', hasStdin: true, hasTerminal };
    const streams = await node.agent.podStreams.attach(pod, wanted, leaving.signal);
    let text = '';
    streams.stdout.on('data', (chunk) => {
      text += chunk;
    });
    return { streams, said: () => text, leave: () => leaving.abort() };
  }
  const run = async (name: string, script: string, container: object): Promise<Pod> => {
    const command = ['sh', '-c', script];
    await node.run(
      name,
      image,
      { command, readinessProbe: undefined as never, ...container },
      { restartPolicy: 'Never' },
    );
    return node.until(name, 'running', isRunning);
  };

  test('with stdinOnce ends with the first who attached', async () => {
    const pod = await run('once', 'cat; echo over', { stdin: true, stdinOnce: true });
    const { streams, said } = await attach(pod);
    streams.stdin?.write('one\n');
    await until(() => said() === 'one\n');
    streams.stdin?.end('two\n');
    await node.until('once', 'done', isDone);
    assert.equal(await node.logs(pod), 'one\ntwo\nover\n');
  });

  test('goes on for others to attach to, and for the next agent', async () => {
    const pod = await run('often', 'cat', { stdin: true });
    const first = await attach(pod);
    first.streams.stdin?.end('one\n');
    await until(() => first.said() === 'one\n');
    first.leave();
    await node.restartAgent({ stopPods: false });
    const second = await attach(await node.until('often', 'running', isRunning));
    second.streams.stdin?.write('two\n');
    await until(() => second.said() === 'two\n');
    await node.remove('often');
  });

  test('on a terminal is what is typed, and the program is told of its size and of signals', async () => {
    const script = "trap 'echo stopped; exit 0' TERM; while read line; do echo said $line; stty size; done";
    const pod = await run('typed', script, { stdin: true, tty: true });
    const { streams, said } = await attach(pod, true);
    streams.stdin?.write('hello\n');
    await until(
      () => said().includes('said hello\r\n'),
      () => said(),
    );
    streams.resize?.({ columns: 99, rows: 33 });
    await until(
      async () => {
        streams.stdin?.write('again\n');
        await new Promise((resolve) => setTimeout(resolve, 50));
        return said().includes('33 99\r\n');
      },
      () => said(),
    );
    await node.remove('typed');
    assert.match(said(), /stopped/);
  });

  test('is none where the pod asks for none', async () => {
    const pod = await run('none', 'cat; echo over', {});
    await assert.rejects(attach(pod), /it has none without 'stdin: true'/);
    await node.until('none', 'done', isDone);
  });
});
