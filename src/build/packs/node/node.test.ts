import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { createGunzip } from 'node:zlib';
import { extract } from 'tar-stream';
import type { BuildSpec } from '../../../api/build/build.ts';
import { machineBase } from '../../base/machine-base.ts';
import { buildImage } from '../../build-image.ts';
import type { BuildFailure } from '../../failure.ts';
import { type BuildWorld, openBuildWorld } from '../../testing/world.ts';
import { nodePack } from './index.ts';

/** These install from npm's registry: one small package without dependencies. */
const dependency = { ms: '2.1.3' };
describe('the Node pack', () => {
  let world: BuildWorld;
  let lockfile: string;

  before(async () => {
    world = await openBuildWorld();
    const folder = await world.folder({ 'package.json': JSON.stringify({ dependencies: dependency }) });
    execFileSync('npm', ['install', '--package-lock-only', '--silent'], { cwd: folder, stdio: 'ignore' });
    lockfile = await readFile(join(folder, 'package-lock.json'), 'utf8');
  });
  after(() => world.stop());

  async function build(files: Record<string, string>, name = 'app', more: Partial<BuildSpec> = {}) {
    const context = world.context(name);
    await mkdir(context.workDir, { recursive: true });
    const result = await buildImage({ source: { files }, ...more }, [nodePack()], context);
    const { manifest } = await world.client.manifest(result.image);
    const base = await machineBase();
    return { ...result, layers: manifest.layers?.slice(base.length) ?? [], log: context.log.text() };
  }

  /** The paths in a layer, sorted. */
  async function pathsIn(name: string, digest: string): Promise<string[]> {
    const archive = extract();
    (await world.client.blob(`registry.localhost/test/${name}`, digest)).pipe(createGunzip()).pipe(archive);
    const paths: string[] = [];
    for await (const entry of archive) {
      paths.push(entry.header.name);
      await buffer(entry);
    }
    return paths;
  }

  const app = (line: string) => ({
    'package.json': JSON.stringify({ type: 'module', dependencies: dependency }),
    'package-lock.json': lockfile,
    'index.js': `import ms from 'ms';\nexport const handle = () => ms(${line});\n`,
  });

  test('dependencies are a layer of their own, which a change of the app leaves as it is', async () => {
    const one = await build(app('1'));
    assert.match(one.log, /added 1 package/);
    assert.equal(one.layers.length, 3);
    const paths = await pathsIn('app', one.layers[0]?.digest ?? '');
    assert.deepEqual(paths.slice(0, 4), [
      'app/',
      'app/node_modules/',
      'app/node_modules/ms/',
      'app/node_modules/ms/index.js',
    ]);
    const two = await build(app('2'));
    assert.match(two.log, /dependencies: unchanged/);
    assert.doesNotMatch(two.log, /npm ci/);
    assert.equal(two.layers[0]?.digest, one.layers[0]?.digest);
    assert.notEqual(two.digest, one.digest);
    const elsewhere = await build(app('2'), 'other');
    assert.match(elsewhere.log, /dependencies: unchanged/, 'another repository mounts the layer');
    assert.equal(elsewhere.digest, two.digest);
  });

  test('without any cache the same source gives the same digest', async () => {
    const one = await build(app('3'));
    const other = await openBuildWorld();
    try {
      const context = other.context('app');
      await mkdir(context.workDir, { recursive: true });
      const again = await buildImage({ source: { files: app('3') } }, [nodePack()], context);
      assert.match(context.log.text(), /added 1 package/);
      assert.equal(again.digest, one.digest);
    } finally {
      await other.stop();
    }
  });

  test('a dependency layer that the registry lost is made again', async () => {
    const { layers, digest } = await build(app('4'));
    const lost = `${world.registry.url}/v2/test/app/blobs/${layers[0]?.digest}`;
    assert.equal((await fetch(lost, { method: 'DELETE' })).status, 202);
    assert.equal(
      (await fetch(`${world.registry.url}/v2/test/app/manifests/${digest}`, { method: 'DELETE' })).status,
      202,
    );
    const again = await build(app('4'));
    assert.equal(again.digest, digest);
    assert.match(again.log, /npm ci/);
  });

  test('a lockfile that does not fit package.json fails with what npm says', async () => {
    const files = { ...app('5'), 'package.json': JSON.stringify({ dependencies: { ...dependency, semver: '7.7.3' } }) };
    await assert.rejects(build(files), (error: BuildFailure) => {
      assert.equal(error.reason, 'InstallFailed');
      assert.match(error.message, /npm could not install what package-lock\.json says.*\n.*(EUSAGE|sync)/s);
      assert.match(error.message, /semver@7\.7\.3/);
      return true;
    });
  });

  test('install scripts run only where they are allowed', async () => {
    const install = { postinstall: "node -e \"require('fs').writeFileSync('installed','')\"" };
    const packed = JSON.stringify({ name: 'scripted', version: '1.0.0', scripts: install, main: 'index.js' });
    const root = JSON.stringify({ dependencies: { scripted: 'file:scripted' } });
    const folder = await world.folder({ 'package.json': root, 'scripted/package.json': packed });
    execFileSync('npm', ['install', '--package-lock-only', '--silent', '--install-links=false'], {
      cwd: folder,
      stdio: 'ignore',
    });
    const files = {
      'package.json': root,
      'package-lock.json': await readFile(join(folder, 'package-lock.json'), 'utf8'),
      'scripted/package.json': packed,
      'scripted/index.js': 'exports.x = 1;',
      'index.js': 'exports.handle = () => require("scripted");',
    };
    const without = await build(files, 'scripts');
    const withScripts = await build(files, 'scripts', { allowScripts: true });
    assert.doesNotMatch(without.log, /postinstall/);
    assert.match(withScripts.log, /postinstall/);
  });

  test('a program that .npmrc names as git does not run: scripts are off', async () => {
    const folder = await world.folder({ 'evil.sh': '#!/bin/sh\ntouch "$(dirname "$0")/ran"\nexit 1\n' });
    await chmod(join(folder, 'evil.sh'), 0o755);
    const repository = `git+file://${folder}/nowhere.git`;
    const resolved = `${repository}#${'a'.repeat(40)}`;
    const files = {
      'package.json': JSON.stringify({ dependencies: { x: repository } }),
      'package-lock.json': JSON.stringify({
        lockfileVersion: 3,
        packages: { '': { dependencies: { x: repository } }, 'node_modules/x': { version: '1.0.0', resolved } },
      }),
      '.npmrc': `git=${join(folder, 'evil.sh')}\n`,
      'index.js': 'exports.handle = () => 1;',
    };
    await assert.rejects(build(files, 'npmrc'), { reason: 'InstallFailed' });
    assert.equal(existsSync(join(folder, 'ran')), false);
  });

  test('a project that compiles gets its development dependencies, and the image does not', async () => {
    const packageJson = JSON.stringify({
      devDependencies: dependency,
      scripts: { build: 'node build.js' },
      main: 'dist/index.js',
    });
    const folder = await world.folder({ 'package.json': packageJson });
    execFileSync('npm', ['install', '--package-lock-only', '--silent'], { cwd: folder, stdio: 'ignore' });
    const buildScript = (text: string) =>
      `const ms = require('ms'), fs = require('fs'); fs.mkdirSync('dist');
     fs.writeFileSync('dist/index.js', 'exports.handle = () => ' + ms('${text}'));`;
    const files = (text: string) => ({
      'package.json': packageJson,
      'package-lock.json': '',
      'build.js': buildScript(text),
    });
    const lock = await readFile(join(folder, 'package-lock.json'), 'utf8');
    const one = await build({ ...files('1s'), 'package-lock.json': lock }, 'compiled');
    assert.deepEqual(await pathsIn('compiled', one.layers.at(-1)?.digest ?? ''), [
    'app/', 'app/build.js', 'app/dist/', 'app/dist/index.js', 'app/package-lock.json', 'app/package.json',
  ]); // biome-ignore format: a list of paths
    assert.equal(one.layers.length, 2);
    const two = await build({ ...files('2s'), 'package-lock.json': lock }, 'compiled');
    assert.doesNotMatch(two.log, /npm ci/, 'what was installed for the first build serves the second');
    assert.match(two.log, /> node build\.js/);
  });

  test('a lockfile of a tool that is not here says what to do', async () => {
    const path = process.env.PATH;
    process.env.PATH = '/nonexistent';
    try {
      const files = {
        'package.json': JSON.stringify({ dependencies: dependency }),
        'pnpm-lock.yaml': '',
        'index.js': '',
      };
      await assert.rejects(build(files), /pnpm-lock\.yaml needs pnpm, which is not on this machine: install pnpm/);
    } finally {
      process.env.PATH = path;
    }
    const berry = {
      'package.json': JSON.stringify({ dependencies: dependency }),
      'yarn.lock': '__metadata:\n',
      'index.js': '',
    };
    await assert.rejects(build(berry), /Yarn 2 or later/);
  });

  test('no step is noted as running after the builds', async () => {
    assert.deepEqual(await readdir(join(world.dir, 'build', 'pids')), []);
  });
});
