import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { processOf } from '../../lib/processes.ts';
import { until } from '../../lib/testing/until.ts';
import { BuildLog } from './log.ts';
import { processRunner } from './process-runner.ts';

describe('a build step', () => {
  let dir: string;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'kw-step-'));
  });
  after(() => rm(dir, { recursive: true }));

  async function run(script: string, more: { signal?: AbortSignal; runsForeignCode?: boolean } = {}) {
    const log = new BuildLog();
    const { signal = new AbortController().signal, runsForeignCode = true } = more;
    const program = { command: ['/bin/sh', '-c', script], env: {}, path: [], usesNetwork: false, runsForeignCode };
    const place = { folder: dir, home: dir, print: (text: string) => log.write(text) };
    const { exitCode } = await processRunner(join(dir, 'pids')).run(program, place, signal);
    return { code: exitCode, log };
  }

  const isRunning = (pid: number) => processOf(pid) !== undefined;

  async function pidIn(name: string): Promise<number> {
    const pid = Number(await readFile(join(dir, name), 'utf8'));
    assert.ok(pid > 1);
    return pid;
  }

  async function isGone(pid: number): Promise<void> {
    for (let i = 0; isRunning(pid); i++) {
      assert.ok(i < 1000, `process ${pid} is still there`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /** A process that leaves its group and session, and holds what it inherits. */
  const daemon = (note: string, redirect = '') => {
    const code = "const c=require('child_process').spawn('sleep',['300'],{detached:true,stdio:'inherit'})";
    return `node -e "${code};require('fs').writeFileSync('${note}',String(c.pid));process.exit(0)" ${redirect}`;
  };

  test('a child that leaves the group and holds the pipes open neither keeps the step waiting nor stays', async () => {
    const { code } = await run(`${daemon('holder')}; exit 7`);
    assert.equal(code, 7);
    await isGone(await pidIn('holder'));
  });

  test('a child that leaves the group without the pipes goes with the step', async () => {
    const { code } = await run(daemon('quiet', '< /dev/null > /dev/null 2>&1'));
    assert.equal(code, 0);
    await isGone(await pidIn('quiet'));
  });

  test('an aborted step ends at once, whatever it left behind', async () => {
    const abort = new AbortController();
    const running = run(`${daemon('left')}; touch ready; sleep 300`, { signal: abort.signal });
    await until(() => existsSync(join(dir, 'ready')));
    abort.abort(new Error('no longer wanted'));
    await assert.rejects(running, /no longer wanted/);
    await isGone(await pidIn('left'));
  });

  test('what is printed without an end and without a newline is held in part', async () => {
    const { code, log } = await run('yes x | tr -d "\\n" | head -c 50000000');
    assert.equal(code, 0);
    assert.ok(log.text().length <= 1024 * 1024, `${log.text().length}`);
    assert.match(log.tail(16), /^…\nx+$/);
  });

  test('a program that cannot be started is the error of the step', async () => {
    const start = (command: string, folder: string) => {
      const program = { command: [command], env: {}, path: [], usesNetwork: false, runsForeignCode: false };
      const place = { folder, home: dir, print: () => {} };
      return processRunner(join(dir, 'pids')).run(program, place, new AbortController().signal);
    };
    await assert.rejects(start(join(dir, 'none'), dir), { code: 'ENOENT' });
    await assert.rejects(start('a\0b', dir), /null bytes/);
    await assert.rejects(start('/bin/sh', join(dir, 'none')), { code: 'ENOENT' });
  });
});
