import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openTestRegistry, type TestRegistry } from './testing/test-images.ts';
import { program, server } from './testing/test-node.ts';

const pods = 4;
const kills = 6;
describe('recovery of the node agent', () => {
  let registry: TestRegistry;
  let image: string;
  let dir: string;
  let agent: ChildProcess | undefined;

  before(async () => {
    registry = await openTestRegistry();
    image = await registry.push([program(server)]);
    dir = mkdtempSync(join(tmpdir(), 'kittiwake-recovery-'));
  });
  after(async () => {
    agent?.kill('SIGKILL');
    for (const pid of programs().values()) process.kill(pid, 'SIGKILL');
    await registry.stop();
    rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
  });

  /** Starts the control process; resolves when it has said `line`. */
  async function start(line: 'started' | 'all ready'): Promise<ChildProcess> {
    const script = fileURLToPath(new URL('./testing/agent-process.ts', import.meta.url));
    const child = spawn(process.execPath, [script, dir, registry.url, image, String(pods)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    agent = child;
    let said = '';
    for await (const chunk of child.stdout.iterator({ destroyOnReturn: false })) {
      said += chunk;
      if (said.includes(line)) return child;
    }
    throw new Error(`the agent ended before it was ${line}`);
  }

  async function kill(child: ChildProcess): Promise<void> {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  /** The user programs of this test's pods: working copy → process. Fails when a pod has two. */
  function programs(): Map<string, number> {
    const found = new Map<string, number>();
    for (const name of readdirSync('/proc')) {
      if (!/^\d+$/.test(name)) continue;
      try {
        const command = readFileSync(`/proc/${name}/cmdline`, 'latin1');
        const marker = /(?:^|\0)KITTIWAKE_CONTAINER=([^\0]*)\0/.exec(readFileSync(`/proc/${name}/environ`, 'latin1'));
        if (!marker?.[1]?.startsWith(dir) || !command.includes('main.mjs')) continue;
        if (readFileSync(`/proc/${name}/stat`, 'latin1').includes(') Z ')) continue;
        assert.equal(found.get(marker[1]), undefined, `${marker[1]} runs twice`);
        found.set(marker[1], Number(name));
      } catch (error) {
        if (error instanceof assert.AssertionError) throw error; // Others: the process has ended meanwhile.
      }
    }
    return found;
  }

  const linux = { skip: process.platform !== 'linux' && 'processes are counted by /proc' };

  test('pods outlive an agent that is killed, and the next one goes on with the same processes', linux, async () => {
    const first = await start('all ready');
    const before = programs();
    assert.equal(before.size, pods);
    await kill(first);
    assert.deepEqual(programs(), before);
    const second = await start('all ready');
    assert.deepEqual(programs(), before);
    for (const pid of before.values()) process.kill(pid, 'SIGKILL');
    await kill(second);
  });

  test('killed at any moment, the agent never runs a pod twice, and in the end all pods run', linux, async () => {
    for (let round = 0; round < kills; round++) {
      const child = await start('started');
      // Anywhere from adopting to starting; each round also loses some programs, so that there is something to start.
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 120));
      await kill(child);
      const left = [...programs().values()];
      if (round < kills - 1) for (const pid of left.slice(0, round % 3)) process.kill(pid, 'SIGKILL');
    }
    await start('started');
    // Its own word that all are ready may still be that of before: look at the programs.
    for (let waitedMs = 0; programs().size < pods && waitedMs < 15_000; waitedMs += 20) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.equal(programs().size, pods);
  });
});
