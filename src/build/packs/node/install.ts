import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { lstat, mkdir, readdir, readFile, readlink } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, posix } from 'node:path';
import type { BuildContext } from '../../context.ts';
import { BuildFailure } from '../../failure.ts';
import { type Layer, layerInFile } from '../../layers/layer.ts';
import type { TarEntry } from '../../layers/tar.ts';
import { compareBytes, type SourceTree, textOf, treeDigest } from '../../source/tree.ts';
import { writeTree } from '../../source/write.ts';
import { networkEnvironment, stepEnvironment } from '../../steps/environment.ts';
import { runStep } from '../../steps/step.ts';
import type { PackOptions } from '../pack.ts';
import { installPart, type PackageJson } from './package-json.ts';
import type { PackageManager } from './package-manager.ts';
import { withoutMachineSettings } from './project-settings.ts';

/** How many lines the log gets about settings that were left out. */
const leftOutMax = 20;

/** One install: what it reads decides its key, and the key names its result. */
export interface Install {
  tree: SourceTree;
  packageJson: PackageJson;
  manager: PackageManager;
  options: PackOptions;
  withDevelopment: boolean;
}

/** Equal keys install equal folders. */
export function installKey({ tree, packageJson, manager, options, withDevelopment }: Install): string {
  const parts = {
    manager: [manager.name, manager.version],
    lockfile: textOf(tree, manager.lockfile),
    npmrc: textOf(tree, '.npmrc'),
    package: installPart(packageJson),
    // Packages that are folders of the source itself are installed from it.
    source: needsWholeTree(tree, manager) ? treeDigest(tree) : undefined,
    node: process.version,
    platform: [process.platform, process.arch],
    scripts: options.allowScripts ? options.env : false,
    withDevelopment,
  };
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}

/** Installs into `folder`, which then holds `node_modules`. What the tool prints goes to the build's log. */
export async function install(what: Install, folder: string, context: BuildContext): Promise<void> {
  const { tree, manager, options, withDevelopment } = what;
  await mkdir(folder, { recursive: true });
  const wanted = ['package.json', '.npmrc', manager.lockfile, 'pnpm-workspace.yaml'];
  const isWanted = needsWholeTree(tree, manager) ? () => true : (path: string) => wanted.includes(path);
  const part = new Map([...tree].filter(([path]) => isWanted(path)));
  const settings = withoutMachineSettings(part, options.allowScripts);
  for (const line of settings.leftOut.slice(0, leftOutMax)) context.log.say(line);
  await writeTree(settings.tree, folder);
  const home = join(context.workDir, 'home');
  await mkdir(home, { recursive: true });
  const { allowScripts } = options;
  const cacheDir = context.folders.npmCache;
  const args = manager.installArguments({ withDevelopment, allowScripts, cacheDir });
  const [command = '', ...before] = manager.command;
  context.progress(`installing dependencies (${manager.name} ${args[0]})`);
  context.log.say(`> ${manager.name} ${args.filter((arg) => !arg.includes(cacheDir)).join(' ')}`);
  const code = await runStep({
    command,
    args: [...before, ...args],
    cwd: folder,
    env: stepEnvironment(home, {
      ...networkEnvironment(),
      ...registrySettings(manager),
      ...options.env,
    }),
    log: context.log,
    signal: context.signal,
    pidDir: context.folders.pids,
    runsForeignCode: allowScripts,
  });
  if (code !== 0) throw new BuildFailure('InstallFailed', installMessage(manager, code, context.log.text()));
}

/** The installed `node_modules`, as a layer at `app/node_modules` whose bytes lie in the build's own folder. */
export function modulesLayer(folder: string, context: BuildContext): Promise<Layer> {
  context.progress('packing dependencies');
  return layerInFile(moduleEntries(folder), join(context.workDir, 'dependencies.tar.gz'), 'dependencies');
}

/** Whether some packages are folders of the source: workspaces, `file:` and `link:` dependencies. */
function needsWholeTree(tree: SourceTree, manager: PackageManager): boolean {
  const text = textOf(tree, manager.lockfile) ?? '';
  if (manager.name === 'npm') return /"link":\s*true|"resolved":\s*"file:|"version":\s*"file:/.test(text);
  return /\b(?:link|file):/.test(text) || hasImporters(text) || tree.has('pnpm-workspace.yaml');
}

/** Whether pnpm's lockfile has importers other than the root: `importers:`, then keys indented by two, not only `.`. */
function hasImporters(lockfile: string): boolean {
  const start = /^importers:\n/m.exec(lockfile);
  if (!start) return false;
  const [section = ''] = lockfile.slice(start.index + start[0].length).split(/^\S/m, 1);
  return /^ {2}[^\s.]/m.test(section);
}

async function* moduleEntries(folder: string): AsyncIterable<TarEntry> {
  yield { type: 'folder', path: 'app' };
  const pending = ['node_modules'];
  for (let inner = pending.pop(); inner !== undefined; inner = pending.pop()) {
    const full = join(folder, inner);
    const path = `app/${inner}`;
    const status = await lstat(full);
    if (status.isDirectory()) {
      yield { type: 'folder', path };
      const names = (await readdir(full)).filter((name) => !isOwnState(inner ?? '', name)).sort(compareBytes);
      pending.push(...names.reverse().map((name) => `${inner}/${name}`));
    } else if (status.isSymbolicLink()) {
      const target = await readlink(full);
      if (!leavesTheApp(inner, target)) yield { type: 'symlink', path, target };
      else throw new BuildFailure('InstallFailed', `${inner} is a link out of the app, to ${target}`);
    } else if (status.isFile()) {
      yield { type: 'file', path, content: await readFile(full), isExecutable: (status.mode & 0o100) !== 0 };
    }
  }
}

/** What package managers keep for themselves, and what tools cache: never needed to run, and not reproducible. */
function isOwnState(inner: string, name: string): boolean {
  const own = [
    '.package-lock.json',
    '.cache',
    '.yarn-integrity',
    '.modules.yaml',
    '.pnpm-workspace-state.json',
    '.pnpm-workspace-state-v1.json',
  ];
  return inner === 'node_modules' && own.includes(name);
}

function leavesTheApp(inner: string, target: string): boolean {
  const resolved = posix.normalize(posix.join(posix.dirname(inner), target));
  return target.startsWith('/') || resolved === '..' || resolved.startsWith('../');
}

/**
 * Said to tools that would otherwise go by the project: Yarn runs the program of `yarn-path`, pnpm and Corepack fetch
 * and run the version that package.json names, from wherever it says.
 */
const ourOwn = {
  YARN_IGNORE_PATH: '1',
  COREPACK_ENV_FILE: '0',
  npm_config_manage_package_manager_versions: 'false',
};

/**
 * Where packages come from, as this machine's user has set it up for npm; and which git fetches those that are
 * repositories: a project's .npmrc could name a program of its own, which would run although scripts are off.
 */
function registrySettings({ name }: PackageManager): Record<string, string> {
  const settings: Record<string, string> = { npm_config_git: 'git', ...(name === 'npm' ? {} : ourOwn) };
  const userConfig = process.env.npm_config_userconfig ?? join(homedir(), '.npmrc');
  if (existsSync(userConfig)) settings.npm_config_userconfig = userConfig;
  for (const name of ['npm_config_registry', 'NPM_CONFIG_REGISTRY', 'npm_config_cafile', 'npm_config_strict_ssl']) {
    const value = process.env[name];
    if (value !== undefined) settings[name] = value;
  }
  return settings;
}

function installMessage(manager: PackageManager, code: number, log: string): string {
  const errors = log.split('\n').filter((line) => /^npm error|ERR_PNPM|^error /.test(line));
  const said = errors
    .map((line) => line.replace(/^npm error( code)?\s*/, '').trim())
    .filter((line) => line !== '' && !line.startsWith('A complete log of this run') && !line.includes('-debug-'))
    .slice(0, 8);
  const detail = said.length > 0 ? said.join('\n') : log.trim().split('\n').slice(-5).join('\n');
  return `${manager.name} could not install what ${manager.lockfile} says (exit code ${code}):\n${detail}`;
}
