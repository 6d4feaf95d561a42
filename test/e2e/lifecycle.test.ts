import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ConfigMapKind } from '../../src/api/core/config-map.ts';
import { ServiceKind } from '../../src/api/serving/service.ts';
import { defaultConfig, portsBy } from '../../src/server/config.ts';
import { holderOf, pidFileOf } from '../../src/server/holder.ts';
import { setAside } from '../../src/server/quarantine-files.ts';
import { listRestarts } from '../../src/server/restarts.ts';
import { type SupervisorEvent, startPlatform } from '../../src/server/supervisor.ts';
import { eventually, kittiwake, newDataDir, roleProcesses, startTestPlatform } from '../kit/platform.ts';

const { dataDir, remove } = newDataDir();
after(remove);

const launcher = fileURLToPath(new URL('../../bin/kittiwake', import.meta.url));
const anyPort = ['--broker-port', '--registry-port', '--api-port', '--control-metrics-port']
  .concat(['--gateway-metrics-port', '--broker-metrics-port', '--network-metrics-port'])
  .flatMap((flag) => [flag, '0']);

test('Ctrl-C stops everything within 2 s, leaves no process, and the next start resumes', async () => {
  const first = await startTestPlatform(dataDir);
  const pids = Object.values(roleProcesses(first.process.pid ?? 0));
  assert.equal(pids.length, Object.keys(first.addresses.metricsUrls).length);
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

// `script` gives the command a terminal of its own, which is closed when it is killed; macOS has another one.
test('a terminal that is closed stops the platform as Ctrl-C does', {
  skip: process.platform !== 'linux',
}, async () => {
  const ports = ['--gateway-port', '0', ...anyPort].join(' ');
  const command = `exec '${launcher}' --data-dir '${dataDir}' up ${ports}`;
  const terminal = spawn('script', ['--quiet', '--command', command, '/dev/null'], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  await eventually('a ready platform', async () => (await kittiwake(dataDir, 'status')).code === 0 || undefined);
  const pid = holderOf(dataDir)?.pid ?? 0;
  const pids = [pid, ...Object.values(roleProcesses(pid))];
  assert.ok(pids.length >= 4, `${pids.length}: a role more where pods have a network of their own`);
  terminal.kill('SIGKILL');
  await eventually('the end', async () => !pids.some(isAlive) || undefined);
  assert.equal(existsSync(pidFileOf(dataDir)), false, 'it has stopped, not died');
});

test('Ctrl-C during a start ends it, and is no failure of the processes that it reaches', async () => {
  const { config, events, onEvent, roles } = inThisProcess();
  const ctrlC = new AbortController();
  const starting = startPlatform(config, onEvent, ctrlC.signal);
  const pids = await eventually('the roles', async () => (roles().length >= 3 ? roles() : undefined));
  ctrlC.abort(new Error('stopped'));
  // The terminal sends it to all of them: those that do not listen to signals yet end at once.
  for (const pid of pids) process.kill(pid, 'SIGINT');
  await assert.rejects(starting, /^Error: stopped$/);
  assert.deepEqual(roles(), []);
  assert.deepEqual(events, []);
  assert.deepEqual(listRestarts(dataDir), []);
  const again = await startPlatform(config, onEvent, new AbortController().signal);
  await again.stop();
});

test('a start whose addresses cannot be written leaves no process behind', async () => {
  const { config, onEvent, roles } = inThisProcess();
  const inTheWay = join(dataDir, 'run', `addresses.json.${process.pid}.tmp`);
  mkdirSync(inTheWay);
  try {
    await assert.rejects(startPlatform(config, onEvent), /addresses\.json/);
    assert.deepEqual(roles(), []);
  } finally {
    rmdirSync(inTheWay);
  }
});

/** A platform of which this process is the supervisor. */
function inThisProcess() {
  const config = { ...defaultConfig(), dataDir, ports: portsBy(() => 0) };
  const events: SupervisorEvent[] = [];
  const onEvent = (event: SupervisorEvent) => void events.push(event);
  return { config, events, onEvent, roles: () => Object.values(roleProcesses(process.pid)) };
}

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

test('up in the background says what stops it, with its data folder', async () => {
  const other = newDataDir();
  const { stderr } = await kittiwake(other.dataDir, 'up', '--detach', '--gateway-port', '0', ...anyPort);
  try {
    assert.ok(stderr.includes(`'kittiwake down --data-dir ${other.dataDir}' stops everything.`), stderr);
  } finally {
    assert.equal((await kittiwake(other.dataDir, 'down')).stderr, 'stopped\n');
    other.remove();
  }
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

test('a data folder where none can be made is refused, not tried for ever', { timeout: 60_000 }, async () => {
  for (const [folder, args] of [
    ['/proc/x', ['up']],
    ['/proc/x/y', ['up', '--detach']],
    ['/dev/null', ['up']],
  ] as const) {
    const result = await kittiwake(folder, ...args);
    assert.equal(result.code, 1);
    assert.match(result.stderr, new RegExp(`the data folder ${folder} cannot be used: .*or choose another with`));
  }
  assert.match((await kittiwake('/proc/x', 'doctor')).stdout, /fail data folder: /);
  assert.equal((await kittiwake('/proc/x', 'down')).code, 0);
});

test('a platform that is stopped is named as such by up, and let go on by down, to end', async () => {
  const platform = await startTestPlatform(dataDir);
  const exited = once(platform.process, 'exit');
  const pid = platform.process.pid ?? 0;
  process.kill(pid, 'SIGSTOP');
  for (const detach of [[], ['--detach']]) {
    const second = await kittiwake(dataDir, 'up', ...detach, '--gateway-port', '0', ...anyPort);
    assert.match(second.stderr, new RegExp(`in use by process ${pid}, which is stopped \\('kill -CONT ${pid}'`));
  }
  const down = await kittiwake(dataDir, 'down');
  assert.deepEqual([down.code, (await exited)[0]], [0, 0], down.stderr);
  assert.match(down.stderr, /was stopped .*let go on, to end\nstopped\n$/);
});

test('what follows ends when the platform does, and says that it is gone', async () => {
  const platform = await startTestPlatform(dataDir);
  const service = {
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Service',
    metadata: { name: 'followed', namespace: 'default' },
    spec: {
      template: { spec: { containers: [{ name: '', image: `registry.localhost/x@sha256:${'0'.repeat(64)}` }] } },
    },
  };
  await platform.client.create(ServiceKind, service);
  const following = kittiwake(dataDir, 'logs', 'followed', '--follow');
  await platform.stop();
  const { code, stderr } = await following;
  assert.deepEqual([code, stderr.match(/error: .*(does not answer|no platform runs|ECONN).*/)?.length], [1, 2], stderr);
  assert.doesNotMatch(stderr, /\n {4}at /);
});

test('status and release know what is set aside while the platform is down', async () => {
  const entry = { role: 'broker', name: 'event x', reason: 'exit code 1', times: 2, since: new Date().toISOString() };
  setAside(dataDir, { ...entry, role: 'broker' });
  const status = await kittiwake(dataDir, 'status');
  assert.equal(status.code, 1);
  assert.match(status.stdout, /broker: event x, 2 times, .*\n.*kittiwake release broker 'event x'/);
  assert.equal((await kittiwake(dataDir, 'release', 'broker', '--all')).code, 0);
  assert.doesNotMatch((await kittiwake(dataDir, 'status')).stdout, /event x/);
});

test('Ctrl-C in the story stops it at any step, and is no error', async () => {
  const ports = ['--gateway-port', '0', ...anyPort];
  for (const step of [undefined, /KUBECONFIG=/, /objects of app\.yaml applied/, /its event on disk/]) {
    const demo = spawn(launcher, ['--data-dir', dataDir, 'demo', ...ports], { stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    let isStopped = false;
    for (const stream of [demo.stdout, demo.stderr]) {
      stream.on('data', (text) => {
        said += text;
        if (!isStopped && step?.test(said)) isStopped = demo.kill('SIGINT');
      });
    }
    if (step === undefined) {
      await eventually('a role', async () => roleProcesses(demo.pid ?? 0).control);
      demo.kill('SIGINT');
    }
    const [code] = await once(demo, 'close');
    assert.deepEqual([code, said.match(/error.*/)?.[0]], [0, undefined], said);
    assert.doesNotMatch(said, /localhost:0\b/);
    assert.match(said, /stopped; the next start resumes from here\n$/);
  }
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false; // ESRCH: gone, as it should be.
  }
}
