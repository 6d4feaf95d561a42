import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ConfigMapKind } from '../../src/api/core/config-map.ts';
import { kittiwake, newDataDir, roleProcesses, startTestPlatform } from '../kit/platform.ts';

const { dataDir, remove } = newDataDir();
after(remove);

const anyPort = ['--broker-port', '--registry-port', '--api-port', '--control-metrics-port']
  .concat(['--gateway-metrics-port', '--broker-metrics-port'])
  .flatMap((flag) => [flag, '0']);

test('Ctrl-C stops everything within 2 s, leaves no process, and the next start resumes', async () => {
  const first = await startTestPlatform(dataDir);
  const pids = Object.values(roleProcesses(first.process.pid ?? 0));
  assert.equal(pids.length, 3);
  const map = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'kept', namespace: 'default' },
    data: { a: '1' },
  };
  await first.client.create(ConfigMapKind, map);

  const startedMs = performance.now();
  assert.equal(await first.stop(), 0);
  assert.ok(performance.now() - startedMs < 2000, `stopping took ${performance.now() - startedMs} ms`);
  assert.deepEqual(pids.filter(isAlive), []);

  const second = await startTestPlatform(dataDir);
  const kept = await second.client.get(ConfigMapKind, { namespace: 'default', name: 'kept' });
  assert.deepEqual(kept?.data, { a: '1' });
  await second.stop();
});

test('a second up on the same data folder is refused, naming the process that has it', async () => {
  const platform = await startTestPlatform(dataDir);
  try {
    const second = await kittiwake(dataDir, 'up', '--gateway-port', '0', ...anyPort);
    assert.equal(second.code, 1);
    assert.match(second.stderr, new RegExp(`is in use by process ${platform.process.pid}.*DATA_DIR_IN_USE`));
  } finally {
    await platform.stop();
  }
});

test('a port that is in use is named, with the flag that chooses another', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as { port: number };
  const result = await kittiwake(dataDir, 'up', '--gateway-port', String(port), ...anyPort);
  server.close();
  assert.equal(result.code, 1);
  assert.match(result.stderr, new RegExp(`port ${port} for the gateway is in use: .*--gateway-port`));
});

test('a data folder written by a newer version is not touched', async () => {
  const newer = newDataDir();
  mkdirSync(newer.dataDir, { recursive: true });
  writeFileSync(join(newer.dataDir, 'version'), '99\n');
  const before = readdirSync(newer.dataDir);
  const result = await kittiwake(newer.dataDir, 'up', '--gateway-port', '0', ...anyPort);
  assert.equal(result.code, 1);
  assert.match(result.stderr, /has format 99, this version reads up to \d+: upgrade kittiwake/);
  assert.equal(readFileSync(join(newer.dataDir, 'version'), 'utf8'), '99\n');
  assert.deepEqual(readdirSync(newer.dataDir).sort(), before.sort());
  newer.remove();
});

test('a store that cannot be read is named by the start that fails, and is left as it was', async () => {
  const damaged = newDataDir();
  const file = join(damaged.dataDir, 'cluster', 'store.db');
  mkdirSync(join(damaged.dataDir, 'cluster'), { recursive: true });
  writeFileSync(file, 'this is no database\n'.repeat(1000));
  const before = readFileSync(file);
  const result = await kittiwake(damaged.dataDir, 'up', '--gateway-port', '0', ...anyPort);
  assert.equal(result.code, 1);
  assert.match(result.stderr, /store\.db could not be read or written: file is not a database/);
  assert.deepEqual(readFileSync(file), before);
  damaged.remove();
});

test('commands say how to start the platform when none runs', async () => {
  const result = await kittiwake(dataDir, 'status');
  assert.equal(result.code, 1);
  assert.match(result.stderr, /no platform runs on .*: start it with 'kittiwake up'/);
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false; // ESRCH: gone, as it should be.
  }
}
