import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { systemClock } from '../../../../lib/clock.ts';
import { silentLogger } from '../../../../observe/log.ts';
import type { ContainerOnNode, Driver, RunningContainer } from '../../driver.ts';
import { Files } from '../../images/files.ts';
import type { Image } from '../../images/image.ts';
import { ImageStore } from '../../images/store.ts';
import { openTestRegistry, type TestRegistry } from '../../testing/test-images.ts';
import { program } from '../../testing/test-node.ts';
import { startFromStat, startOf } from './identity.ts';
import { processDriver } from './index.ts';
import { launcher, pidPath, readClaim, revoke } from './record.ts';

const shared = { clock: systemClock, log: silentLogger };
let registry: TestRegistry;
let dir: string;
let files: Files;
let images: ImageStore;
let driver: Driver;
const started: RunningContainer[] = [];

describe('the process driver', () => {
  before(async () => {
    registry = await openTestRegistry();
  });
  after(() => registry.stop());
  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), 'kittiwake-driver-'));
    files = new Files(systemClock);
    images = await ImageStore.open({ ...shared, dir: join(dir, 'images'), source: registry.client, files });
    driver = processDriver({ ...shared, dataDir: dir });
  });
  afterEach(async () => {
    for (const container of started.splice(0)) {
      container.signal('SIGKILL');
      await container.exited;
    }
    await driver.close();
    await files.close();
    rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
  });

  const imageOf = async (text: string) => images.pull(await registry.push([program(text)]));

  async function start(image: Image, more: Partial<ContainerOnNode> = {}): Promise<RunningContainer> {
    const container: ContainerOnNode = {
      id: { podUid: 'uid', container: 'c', restart: 0 },
      image,
      argv: image.config.entrypoint,
      workingDir: image.config.workingDir,
      environment: {},
      mounts: [],
      ports: { 8080: 1234 },
      logPath: join(dir, 'logs/0.log'),
      ...more,
    };
    const running = await driver.start(container, new AbortController().signal);
    started.push(running);
    return running;
  }

  const output = () => readFileSync(join(dir, 'logs/0.log'), 'utf8');

  test('a container ends with the exit code or the signal of its program', async () => {
    const exit = await (await start(await imageOf('console.log("out"); console.error("err"); process.exit(5)'))).exited;
    assert.deepEqual([exit.exitCode, exit.signal, exit.isUnknown], [5, undefined, false]);
    assert.equal(output(), 'out\nerr\n');
    const sleeping = await start(await imageOf('setInterval(() => {}, 1000)'), {
      id: { podUid: 'other', container: 'c', restart: 0 },
    });
    sleeping.signal('SIGTERM');
    const killed = await sleeping.exited;
    assert.deepEqual([killed.exitCode, killed.signal], [143, 15]);
  });

  test('a program that prints a lot blocks neither itself nor the agent', async () => {
    const text = "for (let i = 0; i < 200_000; i++) console.log('line ' + i)";
    assert.equal((await (await start(await imageOf(text))).exited).exitCode, 0);
    assert.ok(output().endsWith('line 199999\n'));
  });

  test('arguments that are paths of the image are found in its copy', async () => {
    const image = await imageOf('console.log(process.argv[1].endsWith("/root/app/main.mjs"), process.argv[2])');
    await (await start(image, { argv: ['node', '/app/main.mjs', '/not/there'], workingDir: '/' })).exited;
    assert.equal(output(), 'true /not/there\n');
  });

  test('a working directory that the image does not have is made; one that leads out is refused', async () => {
    const image = await imageOf('');
    const argv = ['node', '-p', 'process.cwd().endsWith("/root/new/folder")'];
    await (await start(image, { argv, workingDir: '/new/folder' })).exited;
    assert.equal(output(), 'true\n');
    await assert.rejects(start(image, { workingDir: '/a/../../b' }), /leads out of the root/);
  });

  test('a volume is not put where a link of the image leads out of the copy', async () => {
    const image = await images.pull(await registry.push([{ way: { type: 'symlink', linkname: '/tmp' } }]));
    const mounts = [{ source: dir, path: '/way/outside', isReadOnly: false }];
    await assert.rejects(start(image, { mounts, argv: ['node'], workingDir: '/' }), /way is a file or a link/);
  });

  test('an exec command has the environment of its container, and a limit', async () => {
    const container = await start(await imageOf('setInterval(() => {}, 1000)'), { environment: { A: 'b' } });
    const ok = await container.exec(['node', '-p', 'process.env.A + process.cwd().endsWith("/root/app")'], 5_000);
    assert.deepEqual(ok, { exitCode: 0, output: 'btrue\n' });
    assert.equal((await container.exec(['sleep', '60'], 50)).exitCode, 124);
    assert.equal((await container.exec(['nonsense'], 1_000)).exitCode, 127);
  });

  test('another driver on the same folder finds the container again, its ports and its end', async () => {
    const first = await start(await imageOf('setInterval(() => {}, 1000); console.log("up")'));
    // A start that has not claimed its right to run yet would be revoked.
    while (output() === '') await new Promise((resolve) => setTimeout(resolve, 5));
    const [found, ...others] = await processDriver({ ...shared, dataDir: dir }).recover();
    assert.ok(found && others.length === 0);
    assert.deepEqual([found.id, found.ports, found.logPath], [first.id, first.ports, first.logPath]);
    found.signal('SIGKILL');
    assert.equal((await found.exited).isUnknown, true);
    assert.deepEqual(await processDriver({ ...shared, dataDir: dir }).recover(), []);
  });

  test('a start that the agent did not live to see is either adopted or never runs', async () => {
    const id = { podUid: 'uid', container: 'c', restart: 0 };
    assert.equal(revoke(dir, id), true);
    assert.equal(readClaim(dir, id), 'revoked');
    const late = spawnSync('/bin/sh', ['-c', launcher, pidPath(dir, id), 'echo', 'ran']);
    assert.deepEqual([late.status, late.stdout.toString()], [111, '']);

    const other = { ...id, restart: 1 };
    const first = spawnSync('/bin/sh', ['-c', launcher, pidPath(dir, other), 'echo', 'ran']);
    assert.deepEqual([first.status, first.stdout.toString()], [0, 'ran\n']);
    assert.equal(revoke(dir, other), false);
  });

  test('a claim that is half written is none', () => {
    const id = { podUid: 'uid', container: 'c', restart: 0 };
    writeFileSync(pidPath(dir, id), '123 (sh) R 1');
    assert.equal(readClaim(dir, id), undefined);
  });

  test('a process is told from its successor by when it started, and a zombie does not run', () => {
    assert.equal(startOf(process.pid), startOf(process.pid));
    assert.equal(startOf(2 ** 22 + 1), undefined);
    const stat = (name: string, state: string) => `7 (${name}) ${state} ${'0 '.repeat(18)}4242 0`;
    assert.match(startFromStat(stat('sh', 'S')) ?? '', /\/4242$/);
    assert.match(startFromStat(stat('evil) R (x', 'S')) ?? '', /\/4242$/);
    assert.equal(startFromStat(stat('sh', 'Z')), undefined);
  });

  test('what one start has compiled is there for the next, and NODE_OPTIONS stay those of the pod', async () => {
    const image = await imageOf(`
    import { readdirSync } from 'node:fs';
    import module from 'node:module';
    const { NODE_OPTIONS, NODE_COMPILE_CACHE } = process.env;
    console.log(NODE_OPTIONS, readdirSync(NODE_COMPILE_CACHE, { recursive: true }).length > 1);
    module.flushCompileCache();`);
    let expected = '';
    for (const restart of [0, 1]) {
      const id = { podUid: 'uid', container: 'c', restart };
      await (await start(image, { id, environment: { NODE_OPTIONS: '--no-warnings' } })).exited;
      expected += `--no-warnings ${restart === 1}\n`;
      assert.equal(output(), expected);
    }
  });
});
