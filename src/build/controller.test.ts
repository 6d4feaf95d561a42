import assert from 'node:assert/strict';
import { readdir, readFile, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { openWorld, type World } from '../../test/world.ts';
import { type Build, BuildKind, type BuildSpec } from '../api/build/build.ts';
import { runControllers } from '../kube/runner.ts';
import { systemClock } from '../lib/clock.ts';
import { processOf } from '../lib/processes.ts';
import { until } from '../lib/testing/until.ts';
import { silentLogger } from '../observe/log.ts';
import { machineBase } from './base/machine-base.ts';
import { keepNewest } from './caches.ts';
import { buildControllers } from './controller.ts';
import { uploadFolder } from './source/artifact.ts';
import { type GitServer, startGitServer } from './testing/git-server.ts';
import { type BuildWorld, openBuildWorld } from './testing/world.ts';

describe('the Build controller', () => {
  let kit: BuildWorld;
  let world: World;
  let git: GitServer;

  before(async () => {
    kit = await openBuildWorld();
    git = await startGitServer(join(kit.dir, 'git'));
    world = await openWorld({ controllers: buildControllers(options('build')) });
  });

  after(async () => {
    await world.stop();
    await git.stop();
    await kit.stop();
  });

  const options = (dataDir: string) => {
    return { mirrors: kit.mirrors, dataDir: join(kit.dir, dataDir), clock: systemClock, log: silentLogger };
  };

  let count = 0;

  async function create(spec: BuildSpec, name = `b${count++}`, where = world): Promise<string> {
    const metadata = { name, namespace: 'default' };
    await where.client.create(BuildKind, { apiVersion: 'build.knative.dev/v1alpha1', kind: 'Build', metadata, spec });
    return name;
  }

  const succeeded = (build: Build | undefined) => build?.status?.conditions?.find((c) => c.type === 'Succeeded');

  async function ended(name: string, where = world): Promise<Build> {
    const key = { namespace: 'default', name };
    const build = await where.until(BuildKind, key, (b) => ['True', 'False'].includes(succeeded(b)?.status ?? ''));
    assert.ok(build);
    return build;
  }

  async function run(spec: BuildSpec, name?: string): Promise<Build> {
    return ended(await create(spec, name));
  }

  const inline = (files: Record<string, string>): BuildSpec => ({ source: { files } });
  const good = { 'package.json': '{"type":"module"}', 'index.js': 'export const handle = () => "hi";' };

  test('inline files become an image by digest, and the times of the build are recorded', async () => {
    const { status } = await run(inline(good), 'hello');
    assert.equal(status?.conditions?.[0]?.status, 'True', JSON.stringify(status));
    assert.match(status?.output?.image ?? '', /^registry\.localhost\/default\/hello@sha256:[0-9a-f]{64}$/);
    assert.ok(status?.startTime && status.completionTime);
    const { manifest } = await kit.client.manifest(status.output?.image ?? '');
    const base = await machineBase();
    assert.equal(manifest.layers?.length, base.length + 2, 'the function runtime and the app');
  });

  test('a branch is built at its commit, which is recorded; a moved branch is built anew', async () => {
    const commit = git.commit('main', good);
    const source = { git: { url: git.url, revision: 'main' } };
    const one = await run({ source });
    assert.deepEqual(one.status?.source, { commit });
    const moved = git.commit('main', { ...good, 'index.js': 'export const handle = () => "moved";' });
    const two = await run({ source });
    assert.deepEqual(two.status?.source, { commit: moved });
    assert.notEqual(two.status?.output?.digest, one.status?.output?.digest);
    const back = await run({ source: { git: { url: git.url, revision: commit } } });
    assert.equal(back.status?.output?.digest, one.status?.output?.digest, 'an old commit gives its old image');
  });

  test('a tag is built at the commit that it points to, and subPath is the root of the build', async () => {
    const commit = git.commit('tagged', { 'README.md': 'x', 'fn/index.js': 'exports.handle = () => 1;' });
    git.git('tag', '--annotate', '--message=v1', 'v1.0');
    const { status } = await run({ source: { git: { url: git.url, revision: 'v1.0' }, subPath: 'fn' } });
    assert.deepEqual(status?.source, { commit });
    assert.equal(succeeded({ status } as Build)?.status, 'True');
  });

  test('the same content from git, from a folder and inline gives the same digest', async () => {
    git.commit('same', good);
    const folders = [await kit.folder(good), await kit.folder(good)];
    const digests = new Set<string | undefined>();
    for (const folder of folders) {
      const { image } = await uploadFolder({
        folder,
        reference: 'registry.localhost/default/same-source',
        registry: kit.client,
      });
      digests.add((await run({ source: { ociArtifact: { image } } })).status?.output?.digest);
    }
    digests.add((await run({ source: { git: { url: git.url, revision: 'same' } } })).status?.output?.digest);
    digests.add((await run(inline(good))).status?.output?.digest);
    assert.equal(digests.size, 1);
  });

  test('a build that cannot succeed says why, with the reason and the remedy', async () => {
    const nowhere = git.url.replace('/work/', '/none/');
    const at = (revision: string) => ({ source: { git: { url: git.url, revision } } });
    const table: [BuildSpec, string, RegExp][] = [
      [at('no-such-branch'), 'GitRevisionNotFound', /has no branch, tag or commit no-such-branch/],
      [at('0123456789012345678901234567890123456789'), 'GitRevisionNotFound', /0123456789/],
      [at('abcdef1'), 'GitRevisionNotFound', /must be given in full/],
      [{ source: { git: { url: nowhere, revision: 'main' } } }, 'GitRepositoryNotFound', /no git repository at http/],
      [
        { source: { git: { url: 'http://127.0.0.1:1/x', revision: 'main' } } },
        'GitFetchFailed',
        /could not be fetched/,
      ],
      [{ source: { git: { url: git.url, revision: 'main' }, subPath: 'none' } }, 'SubPathNotFound', /no folder none/],
      [{ source: { folder: './orders' } }, 'FolderNotUploaded', /kittiwake apply -f FILE/],
      [inline({ 'main.py': 'print(1)' }), 'NotDetected', /the source has main\.py/],
      [inline({ 'package.json': '{}' }), 'EntryPointNotFound', /looked for index\.ts.*"main"/],
      [inline({ 'package.json': '{"name": }' }), 'SourceInvalid', /package\.json is not JSON.*line 1/],
      [
        inline({ 'package.json': '{"scripts":{"start":"node server.js"}}' }),
        'EntryPointNotFound',
        /there is no server\.js/,
      ],
      [inline({ 'package.json': '{"dependencies":{"ms":"2"}}', 'index.js': '' }), 'LockfileMissing', /npm install/],
      [inline({ 'index.ts': 'const a = 1;\nenum B { A }\n' }), 'CompileFailed', /^index\.ts:2: .*enum/],
      [inline({ 'index.ts': 'const a = 1;\n\nconst b: = 2;\n' }), 'CompileFailed', /^index\.ts:3: /],
      [inline({ 'func.yaml': 'invoke: grpc\n', 'index.js': '' }), 'SourceInvalid', /invoke is "grpc"/],
      [inline({ 'func.yaml': 'runtime: rust\n', 'index.js': '' }), 'NotDetected', /rust/],
    ];
    for (const [spec, reason, message] of table) {
      const { status } = await run(spec);
      const condition = status?.conditions?.[0];
      assert.deepEqual([condition?.status, condition?.reason], ['False', reason], condition?.message);
      assert.match(condition?.message ?? '', message);
      assert.match(status?.log ?? '', message.multiline ? message : new RegExp(message.source, 'm'));
      assert.ok(status?.completionTime);
    }
  });

  test('a repository that wants credentials is told from one that is not there', async () => {
    const locked = await startGitServer(join(kit.dir, 'locked'), 'Basic a2l0');
    try {
      locked.commit('main', good);
      const { status } = await run({ source: { git: { url: locked.url, revision: 'main' } } });
      assert.equal(status?.conditions?.[0]?.reason, 'GitAuthRequired', status?.conditions?.[0]?.message);
    } finally {
      await locked.stop();
    }
  });

  test('the build script is run, and its own message comes with file and line', async () => {
    const script = "node -e \"require('fs').mkdirSync('dist');require('fs').copyFileSync('src.js','dist/out.js')\"";
    const packageJson = JSON.stringify({ main: 'dist/out.js', scripts: { build: script } });
    const built = await run(inline({ 'package.json': packageJson, 'src.js': 'exports.handle = () => 1;' }));
    assert.equal(built.status?.conditions?.[0]?.status, 'True', built.status?.log);
    const failing = JSON.stringify({ scripts: { build: 'echo "src/a.ts(3,7): error TS2322: not a number"; exit 2' } });
    const { status } = await run(inline({ 'package.json': failing, 'index.js': '' }));
    assert.equal(status?.conditions?.[0]?.reason, 'CompileFailed');
    assert.match(status?.conditions?.[0]?.message ?? '', /exit code 2\):\nsrc\/a\.ts\(3,7\): error TS2322/);
  });

  test('a step that never ends is killed with all its children at the timeout', async () => {
    const note = join(kit.dir, 'pid');
    const script = `sleep 300 & echo $! > ${note}; wait`;
    const files = { 'package.json': JSON.stringify({ scripts: { build: script } }), 'index.js': '' };
    const { status } = await run({ ...inline(files), timeout: '700ms' });
    assert.equal(status?.conditions?.[0]?.reason, 'BuildTimeout');
    assert.match(status?.conditions?.[0]?.message ?? '', /longer than 700ms/);
    const child = Number(await readFile(note, 'utf8'));
    assert.equal(isRunning(child), false);
  });

  test('deleting a Build cancels it', async () => {
    const note = join(kit.dir, 'slow-pid');
    const files = sleeper(note, 'never');
    const key = { namespace: 'default', name: 'slow' };
    await create(inline(files), key.name);
    const pid = await begun(key.name, note);
    await world.client.delete(BuildKind, key);
    await world.until(BuildKind, key, (build) => build === undefined);
    await until(() => !isRunning(pid));
  });

  test('a Build found at work after a restart of the platform is built again', async () => {
    const [note, marker] = [join(kit.dir, 'again-pid'), join(kit.dir, 'now-quick')];
    const passive = await openWorld();
    const start = () =>
      runControllers(buildControllers(options('again')), {
        client: passive.client,
        clock: systemClock,
        log: silentLogger,
      });
    try {
      const before = await start();
      await create(inline(sleeper(note, marker)), 'again', passive);
      const pid = await begun('again', note, passive);
      await before.stop();
      await until(() => !isRunning(pid));
      const found = await passive.client.get(BuildKind, { namespace: 'default', name: 'again' });
      assert.equal(succeeded(found)?.status, 'Unknown');
      await writeFile(marker, '');
      const restarted = await start();
      assert.equal(succeeded(await ended('again', passive))?.status, 'True');
      await restarted.stop();
    } finally {
      await passive.stop();
    }
  });

  /** A source whose build script waits for good, unless the file `marker` is there; it notes its process id. */
  function sleeper(note: string, marker: string): Record<string, string> {
    const script = `[ -e ${marker} ] && exit 0; echo $$ > ${note}; exec sleep 300`;
    return { 'package.json': JSON.stringify({ scripts: { build: script } }), 'index.js': 'exports.handle = () => 1' };
  }

  async function begun(name: string, note: string, where = world): Promise<number> {
    const isAtWork = (build?: Build) => succeeded(build)?.message?.startsWith('running the build script');
    await where.until(BuildKind, { namespace: 'default', name }, isAtWork);
    return Number(await readFile(note, 'utf8'));
  }

  test('what was built before is used again while the registry has it, and else built anew', async () => {
    const source = inline({ ...good, 'index.js': 'export const handle = () => "once";' });
    const [name, said] = ['cached', /built before/];
    const again = async () => {
      await world.client.delete(BuildKind, { namespace: 'default', name });
      await world.until(BuildKind, { namespace: 'default', name }, (build) => build === undefined);
      return run(source, name);
    };
    const first = await run(source, name);
    const digest = first.status?.output?.digest;
    const second = await again();
    assert.match(second.status?.log ?? '', said);
    assert.equal(second.status?.output?.digest, digest);

    const url = `${kit.registry.url}/v2/default/${name}/manifests/${digest}`;
    assert.equal((await fetch(url, { method: 'DELETE' })).status, 202);
    const third = await again();
    assert.doesNotMatch(third.status?.log ?? '', said);
    assert.equal(third.status?.output?.digest, digest);
    assert.equal((await fetch(url)).status, 200);
  });

  test('the cache forgets what it wrote first', async () => {
    const folder = await kit.folder({ a: '1', b: '2', c: '3' });
    for (const [i, name] of ['b', 'c', 'a'].entries()) await utimes(join(folder, name), 1000 + i, 1000 + i);
    await keepNewest(folder, 2);
    assert.deepEqual((await readdir(folder)).sort(), ['a', 'c']);
    await keepNewest(join(folder, 'never-written'), 2);
  });

  test('after a build its work folder is gone', async () => {
    await run(inline(good));
    assert.deepEqual(await readdir(join(kit.dir, 'build/work')), []);
  });

  const isRunning = (pid: number) => processOf(pid) !== undefined;
});
