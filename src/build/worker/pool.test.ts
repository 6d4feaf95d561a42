import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Mutexes } from '../../lib/mutexes.ts';
import { processOf } from '../../lib/processes.ts';
import { until } from '../../lib/testing/until.ts';
import type { BuildJob } from '../builder.ts';
import { type BuildWorld, openBuildWorld } from '../testing/world.ts';
import { LentLocks } from './lent-locks.ts';
import { WorkerPool } from './pool.ts';
import { RemoteLocks } from './remote-locks.ts';

const doomed = fileURLToPath(new URL('../testing/doomed-worker.ts', import.meta.url));
const control = fileURLToPath(new URL('../testing/doomed-control.ts', import.meta.url));
const good = { 'package.json': '{"type":"module"}', 'index.js': 'export const handle = () => "hi";' };

describe('the processes of builds', () => {
  let world: BuildWorld;
  before(async () => {
    world = await openBuildWorld();
  });
  after(() => world.stop());

  let count = 0;
  const never = new AbortController().signal;

  async function jobOf(files: Record<string, string>): Promise<BuildJob> {
    const id = `job-${count++}`;
    const workDir = join(world.dir, 'work', id);
    await mkdir(workDir, { recursive: true });
    return {
      spec: { source: { files } },
      repository: `registry.localhost/test/${id}`,
      mirrors: world.mirrors,
      buildDir: join(world.dir, 'build'),
      workDir,
      pidDir: join(world.dir, 'pids', id),
    };
  }

  /** Files whose build script notes its own process and that of its parent, and waits for good. */
  function sleeper(note: string): Record<string, string> {
    const script = `echo "$$ $PPID" > ${note}.new; mv ${note}.new ${note}; sleep 300; exit 1`;
    return { ...good, 'package.json': JSON.stringify({ scripts: { build: script } }) };
  }

  const isRunning = (pid: number | undefined) => pid !== undefined && processOf(pid) !== undefined;

  async function noted(note: string): Promise<number[]> {
    await until(() => existsSync(note), note);
    return readFileSync(note, 'utf8').trim().split(' ').map(Number);
  }

  test('a build runs in another process, which is kept for the next build and ends when none comes', async () => {
    const pool = new WorkerPool({ idleMs: 1 });
    const kept = new WorkerPool();
    try {
      for (const each of [pool, kept]) {
        const outcome = await each.build(await jobOf(good), () => {}, never);
        assert.equal(outcome.type, 'built', JSON.stringify(outcome));
      }
      await until(() => pool.pids.length === 0, 'the idle process is gone');
      const [pid] = kept.pids;
      assert.ok(pid !== undefined && pid !== process.pid && isRunning(pid));
      await kept.build(await jobOf(good), () => {}, never);
      assert.deepEqual(kept.pids, [pid]);
      const both = await Promise.all([jobOf(good), jobOf(good)]);
      const building = both.map((job) => kept.build(job, () => {}, never));
      assert.equal(kept.pids.length, 2, 'each build has a process for itself');
      await Promise.all(building);
      await until(() => kept.pids.length === 1, 'one is enough when nothing is built');
    } finally {
      pool.close();
      kept.close();
    }
    await until(() => kept.pids.length === 0, 'none outlives the pool');
  });

  test('a process that ends by its own doing says how, and one that was killed is told from it', async () => {
    const pool = new WorkerPool({
      program: doomed,
      checkMs: 20,
      silentChecksMax: 250,
      silentChecksMaxAtStart: 5000,
      heapMb: 64,
    });
    const table: [string, boolean, RegExp][] = [
      ['crash', true, /ended \(exit code 1: .*planted: nobody catches this\)/],
      ['abort', true, /ended \(signal SIGABRT/],
      ['hang', true, /ended \(it did not answer\)/],
      ['memory', true, /ended \(signal SIGABRT: FATAL ERROR: .*heap/],
      ['killed once', false, /ended \(signal SIGKILL\)/],
    ];
    try {
      for (const [doom, isOwnDoing, message] of table) {
        const files = { ...good, doom, note: join(world.dir, `note-${doom}`) };
        await assert.rejects(
          pool.build(await jobOf(files), () => {}, never),
          { isOwnDoing, message },
          doom,
        );
      }
      assert.equal((await pool.build(await jobOf(good), () => {}, never)).type, 'built', 'and others are built');
    } finally {
      pool.close();
    }
  });

  test('a cancelled build ends with its steps, also when its process does not listen', async () => {
    const pool = new WorkerPool({ program: doomed, cancelMs: 50 });
    try {
      const abort = new AbortController();
      const step = join(world.dir, 'cancelled-step');
      const building = pool.build(await jobOf(sleeper(step)), () => {}, abort.signal);
      const [pid] = await noted(step);
      abort.abort(new Error('no longer wanted'));
      await assert.rejects(building, /no longer wanted/);
      assert.equal(isRunning(pid), false);

      const deaf = new AbortController();
      const note = join(world.dir, 'deaf');
      const hanging = pool.build(await jobOf({ ...good, doom: 'hang', note }), () => {}, deaf.signal);
      const [worker] = await noted(note);
      deaf.abort(new Error('no longer wanted either'));
      await assert.rejects(hanging, /no longer wanted either/);
      assert.equal(isRunning(worker), false);
    } finally {
      pool.close();
    }
  });

  test('builds end with the process that wanted them, also when it was killed and theirs is stuck', async () => {
    const step = join(world.dir, 'left-step');
    const stuck = join(world.dir, 'stuck');
    const jobs: [BuildJob, string, string][] = [
      [await jobOf(sleeper(step)), '', step],
      [await jobOf({ ...good, doom: 'hang', note: stuck }), doomed, stuck],
    ];
    for (const [job, program, note] of jobs) {
      const args = ['--disable-warning=ExperimentalWarning', control, JSON.stringify(job), program];
      const parent = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
      const exited = new Promise((resolve) => parent.once('exit', resolve));
      const pids = await noted(note);
      assert.ok(pids.every(isRunning));
      parent.kill('SIGKILL');
      await exited;
      await until(() => !pids.some(isRunning), `all of ${note} are gone`);
    }
  });

  test('a lock has one holder among all processes, and is free again when its process has ended', async () => {
    const mutexes = new Mutexes();
    const connect = () => {
      const remote: RemoteLocks = new RemoteLocks((message) => {
        if (message.type === 'lock') lent.lock(message.id, message.name, message.ifFree);
        else if (message.type === 'unlock') lent.unlock(message.id);
      });
      const lent = new LentLocks(mutexes, (id, isGranted) => remote.answer(id, isGranted));
      return { remote, lent };
    };
    const [one, two, three] = [connect(), connect(), connect()];
    let holders = 0;
    const turns: string[] = [];
    const work = (who: string) => async () => {
      assert.equal(++holders, 1, who);
      turns.push(who);
      await new Promise((resolve) => setImmediate(resolve));
      holders--;
    };
    const impatient = new AbortController();
    const all = [
      one.remote.hold('a', never, work('one')),
      assert.rejects(two.remote.hold('a', impatient.signal, work('never')), /waited enough/),
      two.remote.hold('a', never, work('two')),
      three.remote.hold('a', never, work('three')),
    ];
    impatient.abort(new Error('waited enough'));
    assert.equal(await three.remote.holdIfFree('a', work('never')), false);
    await Promise.all(all);
    assert.deepEqual(turns, ['one', 'two', 'three']);

    const dead = one.remote.hold('a', never, () => new Promise(() => {}));
    const waiting = two.remote.hold('a', never, work('after the dead'));
    one.lent.unlockAll();
    await waiting;
    assert.equal(await two.remote.holdIfFree('a', work('free')), true);
    dead.catch(() => {}); // It never comes to an end.
  });
});
