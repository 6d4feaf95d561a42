import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openWorld, type World } from '../../test/world.ts';
import { type Build, BuildKind, type BuildSpec } from '../api/build/build.ts';
import { ApiError, conflict } from '../api/status.ts';
import type { Client } from '../kube/client.ts';
import { runControllers } from '../kube/runner.ts';
import { systemClock } from '../lib/clock.ts';
import { readJsonFileAsync } from '../lib/json-file.ts';
import { processOf } from '../lib/processes.ts';
import { Quarantine } from '../lib/quarantine.ts';
import { silentLogger } from '../observe/log.ts';
import { type BuildControllerOptions, buildControllers } from './controller.ts';
import { remember } from './remember.ts';
import { startGitServer } from './testing/git-server.ts';
import { type BuildWorld, openBuildWorld } from './testing/world.ts';
import { WorkerPool } from './worker/pool.ts';

const doomedWorker = fileURLToPath(new URL('./testing/doomed-worker.ts', import.meta.url));

describe('what goes wrong with one Build', () => {
  let kit: BuildWorld;
  let world: World;
  /** For all tests: starting a process takes longer than most of these builds. */
  let pool: WorkerPool;

  before(async () => {
    kit = await openBuildWorld();
    world = await openWorld();
    pool = new WorkerPool();
  });
  after(async () => {
    pool.close();
    await world.stop();
    await kit.stop();
  });

  let count = 0;
  const good = { 'package.json': '{"type":"module"}', 'index.js': 'export const handle = () => "hi";' };
  const succeeded = (build?: Build) => build?.status?.conditions?.find((c) => c.type === 'Succeeded');

  /** Builds with controllers of its own, through `client`; returns the Builds as they ended. */
  async function run(
    specs: BuildSpec[],
    { client = world.client, ...more }: Partial<BuildControllerOptions> & { client?: Client } = {},
  ): Promise<Build[]> {
    const dataDir = join(kit.dir, `data-${count++}`);
    const options = {
      mirrors: kit.mirrors,
      dataDir,
      clock: systemClock,
      log: silentLogger,
      retryDelaysMs: [1],
      builder: { build: pool.build.bind(pool), close() {} },
      ...more,
    };
    const names = specs.map(() => `b${count++}`);
    for (const [i, spec] of specs.entries()) {
      const metadata = { name: names[i] ?? '', namespace: 'default' };
      const build = { apiVersion: 'build.knative.dev/v1alpha1', kind: 'Build', metadata, spec } as Build;
      await world.client.create(BuildKind, build);
    }
    const controllers = await runControllers(buildControllers(options), {
      client,
      clock: systemClock,
      log: silentLogger,
    });
    try {
      const ends = names.map((name) => {
        const isEnded = (build?: Build) => ['True', 'False'].includes(succeeded(build)?.status ?? '');
        return world.until(BuildKind, { namespace: 'default', name }, isEnded);
      });
      return (await Promise.all(ends)) as Build[];
    } finally {
      await controllers.stop();
      for (const name of names) await world.client.delete(BuildKind, { namespace: 'default', name });
    }
  }

  const inline = (files: Record<string, string>, more: Partial<BuildSpec> = {}) => ({ source: { files }, ...more });

  test('a status that could not be written is written when it can be', async () => {
    let left = 5;
    const failures = [
      () => conflict(BuildKind, 'x', 'changed meanwhile'),
      () => new Error('connect ECONNREFUSED'),
      () => new ApiError(500, 'InternalError', 'the disk is full'),
    ];
    const client: Client = Object.create(world.client, {
      patch: {
        value: (...call: Parameters<Client['patch']>) =>
          left-- > 0 ? Promise.reject(failures[left % 3]?.()) : world.client.patch(...call),
      },
    });
    const [build] = await run([inline(good)], { client });
    assert.equal(succeeded(build)?.status, 'True');
    assert.ok(left < 0, 'all of them came');
  });

  test('a build that cannot even begin fails with the reason, and others go on', async () => {
    const dataDir = join(kit.dir, 'a-file');
    await writeFile(dataDir, '');
    const [build] = await run([inline(good)], { dataDir });
    assert.equal(succeeded(build)?.reason, 'BuildFailed');
    assert.match(succeeded(build)?.message ?? '', /could not be done: ENOTDIR/);
    const deep = `{"a":${'['.repeat(100_000)}`;
    const [bad, fine] = await run([inline({ ...good, 'package.json': deep }), inline(good)]);
    assert.deepEqual([succeeded(bad)?.reason, succeeded(fine)?.status], ['SourceInvalid', 'True']);
  });

  test('a build that ended the process twice fails and says so, and others go on', async () => {
    const underWay: string[] = [];
    const board = { begin: (name: string) => underWay.push(name), end() {} };
    const next = count + 1;
    const quarantine = new Quarantine({ board, setAside: [`building default/b${next}`] });
    const [bad, fine] = await run([inline(good), inline(good)], { quarantine });
    assert.equal(bad?.metadata.name, `b${next}`);
    assert.match(succeeded(bad)?.message ?? '', /"building default\/b\d+" is set aside.*kittiwake release/);
    assert.equal(succeeded(fine)?.status, 'True');
    assert.deepEqual(underWay, [`building default/${fine?.metadata.name}`]);
  });

  test('a build that ends its process twice fails and is set aside; killed by others, it is tried again', async () => {
    const note = join(kit.dir, 'doomed');
    const books: string[] = [];
    const builder = new WorkerPool({ program: doomedWorker });
    const doomed = (doom: string) => inline({ ...good, doom, note: `${note}-${doom}` });
    const quarantine = new Quarantine({ keepBooks: (work, reason) => void books.push(`${work}: ${reason}`) });
    const specs = [doomed('crash'), inline(good), doomed('killed once')];
    const [crashed, fine, killed] = await run(specs, { builder, quarantine, retryDelaysMs: [1, 1] });
    const attempts = (doom: string) => readFileSync(`${note}-${doom}`, 'utf8').trim().split('\n').length;
    assert.equal(succeeded(crashed)?.reason, 'BuildFailed');
    const name = `building default/${crashed?.metadata.name}`;
    const message = succeeded(crashed)?.message ?? '';
    assert.match(message, /the build's process ended \(exit code 1: .*planted.*is set aside.*kittiwake release/);
    assert.deepEqual([attempts('crash'), books.length], [2, 1]);
    assert.ok(books[0]?.startsWith(`${name}: the build's process ended (exit code 1`), books[0]);
    assert.deepEqual([succeeded(fine)?.status, succeeded(killed)?.status], ['True', 'True']);
    assert.ok(quarantine.isSetAside(name));
    assert.equal(attempts('killed once'), 2);
    assert.match(killed?.status?.log ?? '', /ended \(signal SIGKILL\): trying again/);
  });

  test('the steps of a build whose process was killed are ended before it is tried again', async () => {
    const note = join(kit.dir, 'step-of-the-killed');
    const script = `[ -e ${note} ] && exit 0; echo "$$ $PPID" > ${note}.new; mv ${note}.new ${note}; exec sleep 300`;
    const files = { ...good, 'package.json': JSON.stringify({ type: 'module', scripts: { build: script } }) };
    const running = run([inline(files)], { retryDelaysMs: [0] });
    for (let i = 0; !existsSync(note); i++) {
      assert.ok(i < 10_000, 'the step has begun');
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const [step = 0, worker = 0] = readFileSync(note, 'utf8').trim().split(' ').map(Number);
    assert.ok(pool.pids.includes(worker) && processOf(step), 'a step of the process that builds');
    process.kill(worker, 'SIGKILL');
    const [build] = await running;
    assert.equal(succeeded(build)?.status, 'True', succeeded(build)?.message);
    assert.equal(processOf(step), undefined);
  });

  test('builds of one key at once all succeed with one digest', async () => {
    const builds = await run(
      Array.from({ length: 6 }, () => inline(good)),
      { concurrency: 6 },
    );
    assert.deepEqual([...new Set(builds.map((build) => succeeded(build)?.status))], ['True']);
    assert.equal(new Set(builds.map(({ status }) => status?.output?.digest)).size, 1);
    const path = join(kit.dir, 'one.json');
    await Promise.all(Array.from({ length: 50 }, () => remember(path, { a: 1 })));
    assert.deepEqual(await readJsonFileAsync(path), { a: 1 });
  });

  test('an install from a registry that never answers ends at the timeout, with nothing running', async () => {
    const silent = createServer(() => {}).listen(0, '127.0.0.1');
    await new Promise((resolve) => silent.once('listening', resolve));
    const folder = await kit.folder({ 'package.json': '{"dependencies":{"ms":"2.1.3"}}' });
    execFileSync('npm', ['install', '--package-lock-only', '--silent'], { cwd: folder, stdio: 'ignore' });
    const files = {
      ...good,
      'package.json': '{"type":"module","dependencies":{"ms":"2.1.3"}}',
      'package-lock.json': await readFile(join(folder, 'package-lock.json'), 'utf8'),
      '.npmrc': `registry=http://127.0.0.1:${(silent.address() as AddressInfo).port}/\nfetch-timeout=600000\n`,
    };
    const dataDir = join(kit.dir, 'silent-registry');
    try {
      const [build] = await run([inline(files, { timeout: '1500ms' })], { dataDir });
      assert.equal(succeeded(build)?.reason, 'BuildTimeout', succeeded(build)?.message);
      assert.deepEqual(await readdir(join(dataDir, 'pids')), []);
    } finally {
      silent.closeAllConnections();
      silent.close();
    }
  });

  test("the password of a git address is in nothing that the Build's status says", async () => {
    const locked = await startGitServer(join(kit.dir, 'locked'), `Basic ${btoa('kit:rightsecret')}`);
    locked.commit('main', good);
    const at = (password: string, path = '/work/.git', revision = 'main') => {
      const { host } = new URL(locked.url);
      return { source: { git: { url: `http://kit:${password}@${host}${path}`, revision } } };
    };
    const specs = [
      at('rightsecret'),
      at('rightsecret', '/work/.git', 'none'),
      at('rightsecret', '/none/.git'),
      at('wrongsecret'),
      { source: { git: { url: 'http://kit:wrongsecret@127.0.0.1:1/x', revision: 'main' } } },
    ];
    try {
      const builds = await run(specs);
      assert.deepEqual(
        builds.map((build) => succeeded(build)?.reason ?? succeeded(build)?.status),
        ['True', 'GitRevisionNotFound', 'GitRepositoryNotFound', 'GitAuthRequired', 'GitFetchFailed'],
      );
      for (const { status } of builds) {
        assert.doesNotMatch(JSON.stringify(status), /rightsecret|wrongsecret/);
        assert.match(status?.log ?? '', /http:\/\/\*\*\*@127/);
      }
    } finally {
      await locked.stop();
    }
  });

  test('caches that hold too much are emptied while no build is at work', async () => {
    const dataDir = join(kit.dir, 'full-caches');
    const large = join(dataDir, 'npm-cache/_cacache');
    await mkdir(large, { recursive: true });
    await writeFile(join(large, 'content'), Buffer.alloc(5000));
    await run([inline(good)], { dataDir, cacheBytesMax: 20_000 });
    const small = existsSync(large);
    await writeFile(join(large, 'more'), Buffer.alloc(30_000));
    await run([inline(good)], { dataDir, cacheBytesMax: 20_000 });
    for (let i = 0; existsSync(large) && i < 1000; i++) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.deepEqual([small, existsSync(large)], [true, false]);
  });

  test('what the cache remembers is not believed when it is damaged', async () => {
    const dataDir = join(kit.dir, 'damaged');
    await run([inline(good)], { dataDir });
    const images = join(dataDir, 'cache/images');
    for (const damage of ['', '{', 'null', '{}', '{"digest":5}', '[]', `"${'x'.repeat(100)}"`]) {
      for (const name of await readdir(images)) await writeFile(join(images, name), damage);
      const [build] = await run([inline(good)], { dataDir });
      assert.equal(succeeded(build)?.status, 'True', `${damage}: ${succeeded(build)?.message}`);
    }
    await rm(dataDir, { recursive: true });
  });
});
