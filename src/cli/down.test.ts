import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { down } from './down.ts';

const dataDirModule = new URL('../server/data-dir.ts', import.meta.url).href;

test('down gives up on a process that does not stop, and says which and what ends it', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'kittiwake-down-'));
  const program = `
    const { openDataDir } = await import(${JSON.stringify(dataDirModule)});
    process.on('SIGTERM', () => {});
    globalThis.held = openDataDir(${JSON.stringify(dataDir)});
    console.log('held');
    setInterval(() => {}, 1000);`;
  const deaf = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'pipe', 'ignore'] });
  try {
    await once(deaf.stdout, 'data');
    await assert.rejects(down({ dataDir }, { waitMs: 100, silentMs: 1000 }), (error: Error) => {
      assert.match(
        error.message,
        new RegExp(`^process ${deaf.pid} has not stopped within 0\\.1 s: look into .*/logs; `),
      );
      assert.match(error.message, new RegExp(`'kill -KILL ${deaf.pid}' ends it`));
      return true;
    });
  } finally {
    deaf.kill('SIGKILL');
    await once(deaf, 'close');
    rmSync(dataDir, { recursive: true, force: true });
  }
});
