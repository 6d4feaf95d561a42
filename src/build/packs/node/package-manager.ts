import { accessSync, constants, readFileSync, realpathSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { BuildFailure } from '../../failure.ts';
import { type SourceFolder, textOf } from '../../source/source.ts';

/** A tool that installs what its lockfile says. */
export interface PackageManager {
  name: 'npm' | 'pnpm' | 'yarn';
  lockfile: string;
  /** Part of the key of what it installs. */
  version: string;
  /** The program, and the arguments that come before all others. */
  command: readonly string[];
  installArguments(options: { withDevelopment: boolean; allowScripts: boolean; cacheDir: string }): string[];
}

type Name = PackageManager['name'];

const lockfiles: readonly [string, Name][] = [
  ['package-lock.json', 'npm'],
  ['npm-shrinkwrap.json', 'npm'],
  ['pnpm-lock.yaml', 'pnpm'],
  ['yarn.lock', 'yarn'],
];

const installArguments: Record<Name, PackageManager['installArguments']> = {
  npm: ({ withDevelopment, allowScripts, cacheDir }) => [
    'ci',
    ...(withDevelopment ? ['--include=dev'] : ['--omit=dev']),
    ...(allowScripts ? ['--foreground-scripts'] : ['--ignore-scripts']),
    `--cache=${cacheDir}`,
    '--no-audit',
    '--no-fund',
    '--no-update-notifier',
    '--prefer-offline',
    '--loglevel=warn',
  ],
  pnpm: ({ withDevelopment, allowScripts, cacheDir }) => [
    'install',
    '--frozen-lockfile',
    ...(withDevelopment ? [] : ['--prod']),
    ...(allowScripts ? [] : ['--ignore-scripts', '--ignore-pnpmfile']),
    // A flat folder without links out of itself, which is what a layer can hold.
    '--config.node-linker=hoisted',
    '--config.package-import-method=copy',
    `--store-dir=${join(cacheDir, 'pnpm')}`,
  ],
  yarn: ({ withDevelopment, allowScripts, cacheDir }) => [
    'install',
    '--frozen-lockfile',
    '--non-interactive',
    ...(withDevelopment ? ['--production=false'] : ['--production=true']),
    ...(allowScripts ? [] : ['--ignore-scripts']),
    `--cache-folder=${join(cacheDir, 'yarn')}`,
  ],
};

/** The manager whose lockfile the source has, if it has one. Fails when the tool is not on this machine. */
export function findPackageManager(source: SourceFolder): PackageManager | undefined {
  const found = lockfiles.find(([file]) => source.entries.has(file));
  if (!found) return undefined;
  const [lockfile, name] = found;
  if (name === 'yarn' && /^__metadata:/m.test(textOf(source, lockfile) ?? '')) {
    const remedy = 'this version installs with npm, pnpm and Yarn 1; add a package-lock.json (npm install)';
    throw new BuildFailure('PackageManagerMissing', `${lockfile} is of Yarn 2 or later: ${remedy}`);
  }
  const { command, version } = name === 'npm' ? findNpm() : findTool(name, lockfile);
  return { name, lockfile, version, command, installArguments: installArguments[name] };
}

/** npm is run by the pinned Node, whichever Node it was installed with. */
function findNpm(): { command: string[]; version: string } {
  const path = findInPath('npm');
  if (path === undefined) {
    throw new BuildFailure(
      'PackageManagerMissing',
      'there is no npm on this machine: install it, it comes with Node.js',
    );
  }
  const script = realpathSync(path);
  const version = versionBeside(script);
  return { command: script.endsWith('.js') ? [process.execPath, script] : [path], version: version ?? 'unknown' };
}

function findTool(name: Name, lockfile: string): { command: string[]; version: string } {
  const path = findInPath(name);
  if (path !== undefined) return { command: [path], version: versionBeside(realpathSync(path)) ?? 'unknown' };
  const corepack = findInPath('corepack');
  if (corepack !== undefined) return { command: [corepack, name], version: 'corepack' };
  const remedy = `install ${name}, or add a package-lock.json (npm install)`;
  throw new BuildFailure('PackageManagerMissing', `${lockfile} needs ${name}, which is not on this machine: ${remedy}`);
}

/** The version in the package.json of the package that the script belongs to. */
function versionBeside(script: string): string | undefined {
  for (const up of ['..', '../..']) {
    try {
      const { version } = JSON.parse(readFileSync(join(script, up, 'package.json'), 'utf8')) as { version?: string };
      if (version !== undefined) return version;
    } catch {
      // Not there, or not a package: one folder further up may be.
    }
  }
  return undefined;
}

/** Where the program is that a shell would run. */
export function findInPath(program: string, path = process.env.PATH): string | undefined {
  return (path ?? '')
    .split(delimiter)
    .filter((folder) => folder.startsWith('/'))
    .map((folder) => join(folder, program))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK);
        return true;
      } catch {
        return false; // Not in this folder.
      }
    });
}
