import { messageOf } from '../../../lib/errors.ts';
import { BuildFailure } from '../../failure.ts';
import { type SourceTree, textOf } from '../../source/tree.ts';

/** The fields of package.json that decide how a project is built and run. */
export interface PackageJson {
  name?: string;
  type?: string;
  main?: string;
  exports?: unknown;
  packageManager?: string;
  scripts?: Record<string, string>;
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
  workspaces?: unknown;
}

/** What changes the result of an install; the name, version and scripts of the project itself do not. */
const installFields = [
  'dependencies', 'devDependencies', 'optionalDependencies', 'peerDependencies', 'peerDependenciesMeta',
  'bundleDependencies', 'bundledDependencies', 'overrides', 'resolutions', 'pnpm', 'workspaces', 'packageManager',
]; // biome-ignore format: a list of names

/** Reads the tree's package.json; an empty one when there is none. */
export function readPackageJson(tree: SourceTree): PackageJson {
  const text = textOf(tree, 'package.json');
  if (text === undefined) return {};
  let value: unknown;
  try {
    value = JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch (error) {
    const message = `package.json is not JSON: ${messageOf(error)} (line ${lineOfJsonError(text, error)})`;
    throw new BuildFailure('SourceInvalid', message, { cause: error });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new BuildFailure('SourceInvalid', 'package.json must be a JSON object');
  }
  return value as PackageJson;
}

/** The part of package.json that an install reads. */
export function installPart(packageJson: PackageJson): Record<string, unknown> {
  return Object.fromEntries(Object.entries(packageJson).filter(([field]) => installFields.includes(field)));
}

export function hasDependencies({ dependencies, optionalDependencies, workspaces }: PackageJson): boolean {
  return isFilled(dependencies) || isFilled(optionalDependencies) || workspaces !== undefined;
}

export function hasDevDependencies({ devDependencies }: PackageJson): boolean {
  return isFilled(devDependencies);
}

/** The file that `exports` gives for `.` on Node. */
export function mainExport(exports: unknown): string | undefined {
  if (typeof exports === 'string') return exports;
  if (typeof exports !== 'object' || exports === null) return undefined;
  const map = exports as Record<string, unknown>;
  if (Array.isArray(exports)) return exports.map(mainExport).find((file) => file !== undefined);
  if ('.' in map) return mainExport(map['.']);
  for (const condition of ['node', 'import', 'module-sync', 'require', 'default']) {
    const found = condition in map ? mainExport(map[condition]) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

function isFilled(map: object | undefined): boolean {
  return map !== undefined && map !== null && Object.keys(map).length > 0;
}

function lineOfJsonError(text: string, error: unknown): number {
  const position = /position (\d+)/.exec(messageOf(error))?.[1];
  return text.slice(0, position === undefined ? text.length : Number(position)).split('\n').length;
}
