import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Clock, systemClock } from './clock.ts';
import { DeadMansSwitch } from './dead-mans-switch.ts';
import { processOf } from './processes.ts';
import { until } from './testing/until.ts';

const program = fileURLToPath(new URL('./testing/doomed-supervisor.ts', import.meta.url));

/** Starts a supervisor with two processes: one is a role that is stuck, the other only has a role's pid by accident. */
async function doomed(): Promise<{ supervisor: ChildProcess; stuck: number; stranger: number }> {
  const supervisor = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const line = await new Promise<string>((resolve) => supervisor.stdout.once('data', (data) => resolve(String(data))));
  const [stuck = 0, stranger = 0] = line.trim().split(' ').map(Number);
  return { supervisor, stuck, stranger };
}

const isRunning = (pid: number) => processOf(pid) !== undefined;

async function ended(pid: number): Promise<void> {
  for (const endMs = performance.now() + 30_000; isRunning(pid); ) {
    assert.ok(performance.now() < endMs, `process ${pid} still runs`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test('a shell that ends at once is started again after a pause, until there is nothing to end', async () => {
  const pauses: (() => void)[] = [];
  let cancelled = 0;
  const clock: Clock = {
    ...systemClock,
    after(delayMs, task) {
      assert.equal(delayMs, 1_000);
      pauses.push(task);
      return () => cancelled++;
    },
  };
  const switched = new DeadMansSwitch('server/role.ts', 0, { clock, shell: '/bin/false' });
  switched.watch([process.pid]);
  await until(() => pauses.length === 1);
  pauses[0]?.();
  await until(() => pauses.length === 2);
  switched.disarm();
  assert.equal(cancelled, 1);
});

test('a role that is stuck ends after its supervisor was killed, and nobody else does', async () => {
  const { supervisor, stuck, stranger } = await doomed();
  try {
    assert.ok(isRunning(stuck));
    supervisor.kill('SIGKILL');
    await ended(stuck);
    assert.ok(isRunning(stranger), 'a pid that is no role of ours is left alone');
  } finally {
    process.kill(stranger, 'SIGKILL');
    if (isRunning(stuck)) process.kill(stuck, 'SIGKILL');
  }
});

test('a supervisor that ends in order leaves nothing to be killed', async () => {
  const { supervisor, stuck, stranger } = await doomed();
  const exited = new Promise((resolve) => supervisor.once('exit', resolve));
  try {
    supervisor.kill('SIGTERM');
    await exited;
    assert.ok(isRunning(stuck));
  } finally {
    process.kill(stranger, 'SIGKILL');
    process.kill(stuck, 'SIGKILL');
  }
});
