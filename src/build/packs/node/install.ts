import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { type SourceFolder, sourceDigest, textOf } from '../../source/source.ts';
import type { PlanOptions, Prepared } from '../pack.ts';
import { installPart, type PackageJson } from './package-json.ts';
import { findInPath, type PackageManager } from './package-manager.ts';
import { withoutMachineSettings } from './project-settings.ts';

/** What is installed decides its key, and the key names its result. */
export interface Install {
  source: SourceFolder;
  packageJson: PackageJson;
  manager: PackageManager;
  options: PlanOptions;
}

/** A folder with the `node_modules` that the lockfile says. */
export function installed(what: Install & { withDevelopment: boolean }): Prepared {
  const { source, manager, options, withDevelopment } = what;
  const { allowScripts, cacheDir } = options;
  const wanted = ['package.json', '.npmrc', manager.lockfile, 'pnpm-workspace.yaml'];
  const isWanted = needsWholeSource(source, manager) ? () => true : (path: string) => wanted.includes(path);
  const part = [...source.entries.keys()].filter(isWanted);
  const { leftOut, ...input } = withoutMachineSettings(source, part, allowScripts);
  const args = manager.installArguments({ withDevelopment, allowScripts, cacheDir });
  return {
    key: installKey(what),
    input,
    notes: leftOut,
    step: {
      progress: `installing dependencies (${manager.name} ${args[0]})`,
      shown: `${manager.name} ${args.filter((arg) => !arg.includes(cacheDir)).join(' ')}`,
      command: [...manager.command, ...args],
      env: { ...registrySettings(manager), ...options.env },
      path: [],
      usesNetwork: true,
      runsForeignCode: allowScripts,
      failure: {
        reason: 'InstallFailed',
        message: `${manager.name} could not install what ${manager.lockfile} says`,
      },
    },
  };
}

/** Equal keys install equal folders. */
function installKey({
  source,
  packageJson,
  manager,
  options,
  withDevelopment,
}: Install & { withDevelopment: boolean }): string {
  const parts = {
    manager: [manager.name, manager.version],
    lockfile: textOf(source, manager.lockfile),
    npmrc: textOf(source, '.npmrc'),
    package: installPart(packageJson),
    // Packages that are folders of the source itself are installed from it.
    source: needsWholeSource(source, manager) ? sourceDigest(source) : undefined,
    node: process.version,
    platform: [process.platform, process.arch],
    scripts: options.allowScripts ? options.env : false,
    withDevelopment,
  };
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}

/** Whether some packages are folders of the source: workspaces, `file:` and `link:` dependencies. */
function needsWholeSource(source: SourceFolder, manager: PackageManager): boolean {
  const text = textOf(source, manager.lockfile) ?? '';
  if (manager.name === 'npm') return /"link":\s*true|"resolved":\s*"file:|"version":\s*"file:/.test(text);
  return /\b(?:link|file):/.test(text) || hasImporters(text) || source.entries.has('pnpm-workspace.yaml');
}

/** Whether pnpm's lockfile has importers other than the root: `importers:`, then keys indented by two, not only `.`. */
function hasImporters(lockfile: string): boolean {
  const start = /^importers:\n/m.exec(lockfile);
  if (!start) return false;
  const [section = ''] = lockfile.slice(start.index + start[0].length).split(/^\S/m, 1);
  return /^ {2}[^\s.]/m.test(section);
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
export function registrySettings({ name }: Pick<PackageManager, 'name'>, env = process.env): Record<string, string> {
  const settings: Record<string, string> = { npm_config_git: 'git', ...(name === 'npm' ? {} : ourOwn) };
  const userConfig = env.npm_config_userconfig ?? join(homedir(), '.npmrc');
  if (existsSync(userConfig)) settings.npm_config_userconfig = userConfig;
  // npm looks for it beside the Node that runs it, which is the pinned one here.
  const npm = findInPath('npm', env.PATH);
  const globalConfig = env.npm_config_globalconfig ?? (npm && join(dirname(npm), '..', 'etc', 'npmrc'));
  if (globalConfig !== undefined && existsSync(globalConfig)) settings.npm_config_globalconfig = globalConfig;
  for (const name of ['npm_config_registry', 'NPM_CONFIG_REGISTRY', 'npm_config_cafile', 'npm_config_strict_ssl']) {
    const value = env[name];
    if (value !== undefined) settings[name] = value;
  }
  return settings;
}

/** The lines of package managers that say what was wrong. */
export function installLines(output: string): string[] {
  const errors = output.split('\n').filter((line) => /^npm error|ERR_PNPM|^error /.test(line));
  const said = errors
    .map((line) => line.replace(/^npm error( code)?\s*/, '').trim())
    .filter((line) => line !== '' && !line.startsWith('A complete log of this run') && !line.includes('-debug-'))
    .slice(0, 8);
  return said.length > 0 ? said : output.trim().split('\n').slice(-5);
}
