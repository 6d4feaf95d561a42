import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { buildImage } from '../../build-image.ts';
import { withSource } from '../../testing/source.ts';
import { type BuildWorld, openBuildWorld } from '../../testing/world.ts';
import { nodePack } from './index.ts';
import { withoutMachineSettings } from './project-settings.ts';

test("of a project's .npmrc only what chooses packages and registries is left", () => {
  const npmrc = [
    ...['registry=https://r.example', '@scope:registry = https://s.example', '//r.example/:_authToken=\u0024{TOKEN}'],
    ...['legacy-peer-deps=true', 'strict-peer-deps', 'omit[]=optional', '; comment', '# comment', ''],
    ...['logs-dir=/tmp/out', 'logs-dir = /tmp/out', '"logs-dir"=/tmp/out', 'cache=/tmp/out', 'prefix=/tmp/out'],
    ...['userconfig=x', 'globalconfig=x', 'script-shell=/bin/evil', 'node-options=--require=./x.js', 'git=./x'],
    ...['editor=x', 'tmp=/tmp/out', 'ignore-scripts=false', 'init-module=x', 'shell=x', 'node-gyp=x', 'viewer=x'],
    ...['cafile=/etc/x', 'certfile=/x', '//r.example/:certfile=/x', '//r.example/:tokenHelper=/x', 'tokenHelper=./x'],
    ...['pnpmfile=./x.js', 'global-pnpmfile=./x.js', 'store-dir=/tmp/out', 'virtual-store-dir=/tmp/out'],
    ...['modules-dir=/tmp/out', 'dir=/', 'location=global', 'global=true', 'yarn-path=./x.js', 'use-node-version=1'],
    ...['timing=true', '__proto__=x', '[section]', 'logs-max=0', 'browser=x', 'side-effects-cache=false'],
  ];
  const settings = (text: string, allowScripts: boolean) =>
    withSource({ '.npmrc': text }, (source) => withoutMachineSettings(source, ['.npmrc'], allowScripts));
  const { paths, replaced, leftOut } = settings(npmrc.join('\r\n'), false);
  assert.deepEqual(paths, ['.npmrc']);
  assert.deepEqual(replaced['.npmrc']?.trim().split('\n'), [
    ...['registry=https://r.example', '@scope:registry = https://s.example', '//r.example/:_authToken=\u0024{TOKEN}'],
    ...['legacy-peer-deps=true', 'strict-peer-deps', 'omit[]=optional'],
  ]);
  assert.equal(leftOut.length, npmrc.length - 9);
  assert.match(leftOut[0] ?? '', /^\.npmrc: logs-dir is left out/);
  const allowed = settings('logs-dir=/tmp/out', true);
  assert.equal(allowed.replaced['.npmrc'], '', 'scripts that are allowed do not let npm write elsewhere');
});

/** These install from npm's registry: pnpm, Yarn 1 and one small package without dependencies. */
describe('what a project would have package managers run', () => {
  let world: BuildWorld;
  let tools: string;
  const path = process.env.PATH;

  before(async () => {
    world = await openBuildWorld();
    tools = await world.folder({ 'package.json': '{}' });
    const packages = ['pnpm@10.24.0', 'yarn@1.22.22'];
    execFileSync('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', ...packages], {
      cwd: tools,
      stdio: 'ignore',
    });
    process.env.PATH = [join(tools, 'node_modules/.bin'), path].join(delimiter);
  });
  after(async () => {
    process.env.PATH = path;
    await world.stop();
  });

  async function build(files: Record<string, string>, allowScripts = false) {
    const context = world.context('app');
    await mkdir(context.workDir, { recursive: true });
    const spec = { source: { files: { 'index.js': 'exports.handle = () => 1;', ...files } }, allowScripts };
    const failure = await buildImage(spec, [nodePack()], context).then(
      () => '',
      (error: Error) => error.message,
    );
    return { failure, log: context.log.text() };
  }

  /** A program of the project's that leaves a file when it runs. */
  const trap = (note: string) => `require('fs').writeFileSync(${JSON.stringify(note)}, ''); module.exports = {};`;
  const local = {
    'package.json': '{"dependencies":{"local":"file:local"}}',
    'local/package.json': '{"name":"local","version":"1.0.0"}',
  };

  async function lockedBy(tool: string, lockfile: string, files: Record<string, string>): Promise<string> {
    const folder = await world.folder(files);
    const flags = tool === 'pnpm' ? ['--lockfile-only', '--ignore-pnpmfile'] : ['--ignore-scripts', '--silent'];
    execFileSync(tool, ['install', ...flags], { cwd: folder, stdio: 'ignore', env: { ...process.env, CI: '' } });
    return readFile(join(folder, lockfile), 'utf8');
  }

  test("npm writes its logs where the platform says, not where the project's .npmrc does", async () => {
    const out = join(world.dir, 'npm-logs');
    const files = { 'package.json': '{"dependencies":{"ms":"2.1.3"}}', '.npmrc': `logs-dir=${out}\ncache=${out}\n` };
    const folder = await world.folder(files);
    execFileSync(
      'npm',
      ['install', '--package-lock-only', '--silent', `--cache=${join(world.dir, 'c')}`, '--logs-max=0'],
      {
        cwd: folder,
        stdio: 'ignore',
      },
    );
    const lock = await readFile(join(folder, 'package-lock.json'), 'utf8');
    const { failure, log } = await build({ ...files, 'package-lock.json': lock });
    assert.equal(failure, '');
    assert.match(log, /^\.npmrc: logs-dir is left out/m);
    assert.equal(existsSync(out), false);
  });

  test('pnpm runs no .pnpmfile.cjs and no dependency of the configuration while scripts are off', async () => {
    const note = join(world.dir, 'pnpmfile-ran');
    const stray = join(world.dir, 'store');
    const lock = await lockedBy('pnpm', 'pnpm-lock.yaml', local);
    const hooks = {
      '.pnpmfile.cjs': trap(note),
      'hook.cjs': trap(note),
      'pnpm-workspace.yaml': `packages: []\npnpmfile: hook.cjs\nglobalPnpmfile: hook.cjs\nstoreDir: ${stray}\n`,
      '.npmrc': 'pnpmfile=hook.cjs\nignore-pnpmfile=false\n',
    };
    const { failure, log } = await build({ ...local, 'pnpm-lock.yaml': lock, ...hooks });
    assert.equal(failure, '', log);
    assert.match(log, /^\.pnpmfile\.cjs: package managers run it, and scripts are off/m);
    assert.equal(existsSync(note), false);
    assert.equal(existsSync(stray), false);
    await build({ ...local, 'pnpm-lock.yaml': lock, ...hooks }, true);
    assert.equal(existsSync(note), true, 'with scripts allowed it runs: the trap is one');
  });

  test('Yarn runs no program of yarn-path while scripts are off', async () => {
    const note = join(world.dir, 'yarn-ran');
    const lock = await lockedBy('yarn', 'yarn.lock', local);
    const hooks = {
      '.yarnrc': `yarn-path "./evil.js"\n--install.cache-folder ${world.dir}/yarn-cache\n`,
      '.yarnrc.yml': 'yarnPath: ./evil.js\nplugins: [./evil.js]\n',
      'evil.js': trap(note),
    };
    const { failure, log } = await build({ ...local, 'yarn.lock': lock, ...hooks });
    assert.equal(failure, '', log);
    assert.match(log, /^\.yarnrc: package managers run it/m);
    assert.equal(existsSync(note), false);
    assert.deepEqual(
      (await readdir(world.dir)).filter((name) => name === 'yarn-cache'),
      [],
    );
  });
});
