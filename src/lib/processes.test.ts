import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { endProgram, processOf } from './processes.ts';
import { until } from './testing/until.ts';

const linux = { skip: process.platform !== 'linux' && 'those that left a group are found by /proc' };

test(
  'a program is ended with its group, and with what has left that; others with another mark are not',
  linux,
  async () => {
    const mark = randomUUID();
    const shell = (value: string) => {
      const script = 'sleep 1000 & setsid sleep 1000 & echo $$ $!; wait';
      const env = { ...process.env, KITTIWAKE_TEST: value };
      return spawn('/bin/sh', ['-c', script], { env, detached: true, stdio: ['ignore', 'pipe', 'ignore'] });
    };
    const [ours, other] = [shell(mark), shell(`${mark}-other`)];
    const [pids, others] = await Promise.all([ours, other].map(pidsOf));
    const ended = new Promise((resolve) => ours.once('exit', resolve));
    try {
      await endProgram({ group: ours.pid, mark: `KITTIWAKE_TEST=${mark}` });
      await ended;
      for (const pid of pids ?? []) await until(() => processOf(pid) === undefined);
      for (const pid of others ?? []) assert.ok(processOf(pid));
    } finally {
      await endProgram({ group: other.pid, mark: `KITTIWAKE_TEST=${mark}-other` });
    }
  },
);

test('of a program that has ended, only what has left its group is looked for', linux, async () => {
  const mark = randomUUID();
  const env = { ...process.env, KITTIWAKE_TEST: mark };
  const child = spawn('/bin/sh', ['-c', 'setsid sleep 1000 & echo $$ $!'], {
    env,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [, left = 0] = await pidsOf(child);
  await endProgram({ mark: `KITTIWAKE_TEST=${mark}` });
  await until(() => processOf(left) === undefined);
});

async function pidsOf(child: ReturnType<typeof spawn>): Promise<number[]> {
  const line = await new Promise((resolve) => child.stdout?.once('data', resolve));
  return String(line).trim().split(' ').map(Number);
}
