import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

const module = JSON.stringify(new URL('./log.ts', import.meta.url).href);

/** Runs a program whose standard error is a file that cannot grow beyond 2 KiB: it fails as on a full disk. */
function runWithFullLog(body: string, heldBytesMax = 64 * 1024) {
  const folder = mkdtempSync(join(tmpdir(), 'kittiwake-log-'));
  const logFile = join(folder, 'role.log');
  try {
    const program = `import { truncateSync } from 'node:fs';
      import { createLogger } from ${module};
      const log = createLogger('control', 'info', ${heldBytesMax});
      const logFile = ${JSON.stringify(logFile)};
      ${body}`;
    const limited = 'ulimit -f 4 && log="$1" && shift && exec "$@" 2>>"$log"';
    const args = ['-c', limited, 'sh', logFile, process.execPath, '--input-type=module', '-e', program];
    const { status, stdout } = spawnSync('sh', args, { encoding: 'utf8' });
    return { status, stdout, log: readFileSync(logFile, 'utf8') };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test('a log that cannot be written does not end the process, and goes on when there is room again', () => {
  const { status, stdout, log } = runWithFullLog(`
    for (let i = 0; i < 30; i++) log.info({ i }, 'a line');
    truncateSync(logFile);
    log.info({}, 'again');
    console.log('alive');`);
  assert.equal(stdout, 'alive\n');
  assert.equal(status, 0);
  assert.match(log, /"i":29,.*\n.*"msg":"again"}\n$/, 'what could not be written has waited');
});

test('of what cannot be written only so much is kept; the rest is counted once there is room again', () => {
  const { status, log } = runWithFullLog(
    `
    for (let i = 0; i < 50; i++) log.info({ i }, 'a line');
    truncateSync(logFile);
    log.info({}, 'has no place');
    log.info({}, 'again');`,
    500,
  );
  assert.equal(status, 0);
  assert.doesNotMatch(log, /"i":49,|has no place/);
  assert.match(log, /"lost":\d+,.*lines are missing before this one.*\n.*again/);
});
