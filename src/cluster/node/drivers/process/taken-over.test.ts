import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { bootId } from '../../../../lib/boot-id.ts';
import { systemClock } from '../../../../lib/clock.ts';
import { silentLogger } from '../../../../observe/log.ts';
import { runCommand } from '../../probes/run-command.ts';
import { processDriver } from './index.ts';

const linux = { skip: process.platform !== 'linux' && 'the record of a process is another elsewhere' };

test('a pod that a version before sandboxes left running is taken over', linux, async () => {
  const dir = mkdtempSync(join(tmpdir(), 'kittiwake-taken-over-'));
  const place = join(dir, 'pods/0b5e/web');
  mkdirSync(join(place, 'root'), { recursive: true });
  const environment = { KITTIWAKE_ROOT: join(place, 'root'), KITTIWAKE_CONTAINER: place, GREETING: 'hello' };
  // Both to the letter as that version wrote them: what runs on somebody's machine is found by these.
  const record =
    `{"id":{"podUid":"0b5e","container":"web","restart":2},"ports":{"8080":23456},"logPath":"${dir}/web.log",` +
    `"startedAtMs":1795692000000,"imageDigest":"sha256:${'a'.repeat(64)}",` +
    `"environment":${JSON.stringify(environment)},"cwd":"${place}/root","temp":"","bootId":"${bootId()}"}`;
  writeFileSync(join(dir, 'pods/0b5e/web.json'), record);
  const launcher = 'set -C; read -r stat </proc/self/stat && echo "$stat" >"$0" || exit 111; exec "$@"';
  const args = ['-c', launcher, join(dir, 'pods/0b5e/web.2.pid'), '/bin/sh', '-c', 'echo up; exec sleep 1000'];
  const child = spawn('/bin/sh', args, { env: environment, detached: true, stdio: ['ignore', 'pipe', 'ignore'] });
  await new Promise((resolve) => child.stdout.once('data', resolve));

  const driver = processDriver({ dataDir: dir, clock: systemClock, log: silentLogger, address: '127.0.0.1' });
  try {
    const [sandbox, ...others] = await driver.recover();
    assert.ok(sandbox && others.length === 0);
    assert.equal(sandbox.podUid, '0b5e');
    assert.deepEqual(sandbox.addresses, { ips: ['127.0.0.1'], ports: { 8080: 23456 } });
    const [running] = sandbox.containers;
    assert.deepEqual(running?.id, { podUid: '0b5e', container: 'web', restart: 2 });
    assert.deepEqual([running?.logPath, running?.startedAtMs], [join(dir, 'web.log'), 1795692000000]);
    const command = ['/bin/sh', '-c', 'echo $GREETING'];
    assert.ok(running);
    assert.deepEqual(await runCommand(running, command, { timeoutMs: 10_000 }), { exitCode: 0, output: 'hello\n' });
    running.signal('SIGTERM');
    assert.equal((await running.exited).isUnknown, true);
  } finally {
    child.kill('SIGKILL');
    await driver.close();
    rmSync(dir, { recursive: true, force: true });
  }
});
