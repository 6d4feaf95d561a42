import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { noContainers, TestDriver } from './testing/test-driver.ts';

const agent = fileURLToPath(new URL('./testing/start-and-stop.ts', import.meta.url));
/** After the agent is there: in the midst of its first starts, and of later ones. */
const delaysMs = [3, 15, 40, 70, 110, 160, 230, 320, 450, 700];

describe('an agent that is killed', { skip: noContainers }, () => {
  let node: TestDriver;

  before(() => {
    node = new TestDriver();
  });
  after(() => node.close());

  test('leaves no container twice, none lost, and nothing behind, whenever that is', async () => {
    const nodeDir = join(node.dir, 'node');
    const witnesses = join(node.dir, 'witnesses');
    for (const [round, delayMs] of delaysMs.entries()) {
      const args = [agent, nodeDir, join(node.dir, 'image'), witnesses, String(round)];
      const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
      await once(child.stdout, 'data');
      await new Promise((resolve) => setTimeout(resolve, delayMs));
      child.kill('SIGKILL');
      await once(child, 'exit');

      const found = await node.reopen();
      const running = found.flatMap(({ containers }) => containers.map(({ id }) => `${id.podUid}.${id.restart}`));
      const starts = linesOf(join(witnesses, 'starts'));
      assert.deepEqual(starts, [...new Set(starts)], 'a container was started twice');
      const stopped = new Set(linesOf(join(witnesses, 'stopping')));
      const wanted = starts.filter((start) => start.startsWith(`run${round}-`) && !stopped.has(start));
      assert.deepEqual(
        wanted.filter((start) => !running.includes(start)),
        [],
        'a container was lost',
      );
      for (const sandbox of found) await sandbox.remove();
      assert.deepEqual(node.leftovers(), [], `after ${delayMs} ms`);
    }
  });

  test('two hundred sandboxes, made and removed, leave nothing', async () => {
    await node.driver.close(); // So that even the folder of the namespaces is not mounted.
    node.driver = node.open();
    const before = mountCount();
    for (let round = 0; round < 20; round++) {
      const uids = Array.from({ length: 10 }, (_, index) => `many-${round}-${index}`);
      const sandboxes = await Promise.all(uids.map((uid) => node.sandbox(uid)));
      const [first, second] = sandboxes;
      if (first && second) {
        await node.start(first, 'sleep 1000');
        await (await node.start(second, 'exit 0')).exited;
      }
      await Promise.all(sandboxes.map((sandbox) => sandbox.remove()));
    }
    assert.deepEqual(node.leftovers(), []);
    assert.ok(mountCount() <= before + 1, 'only the folder of the namespaces is mounted');
  });
});

const mountCount = () => readFileSync('/proc/self/mountinfo', 'utf8').split('\n').length;

function linesOf(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').split('\n').filter(Boolean);
  } catch {
    return []; // Nothing has come to that yet.
  }
}
