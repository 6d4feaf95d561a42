import { messageOf } from '../../../lib/errors.ts';
import { isJsonObject } from '../../../lib/json-object.ts';
import { BuildFailure } from '../../failure.ts';
import { type SourceFolder, textOf } from '../../source/source.ts';

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

/** Far more than any package.json has; npm itself reads the registry's within a few MiB. */
const sizeBytesMax = 4 * 1024 * 1024;

/**
 * Reads the source's package.json; an empty one when there is none. Fields that somebody reads, we or npm or Node, have
 * the type that they must have; one that is null counts as left out.
 */
export function readPackageJson(source: SourceFolder): PackageJson {
  const entry = source.entries.get('package.json');
  if (entry?.type === 'file' && entry.sizeBytes > sizeBytesMax) {
    const message = `package.json has ${entry.sizeBytes} bytes, at most ${sizeBytesMax} are read`;
    throw new BuildFailure('SourceTooLarge', `${message}: is it the right file?`);
  }
  const text = textOf(source, 'package.json');
  if (text === undefined) return {};
  let value: unknown;
  try {
    value = JSON.parse(text.replace(/^\uFEFF/, ''));
    JSON.stringify(value); // What is nested too deeply for this would fail later, wherever it is looked at.
  } catch (error) {
    if (error instanceof RangeError) throw invalid('package.json nests too deeply: it must be a plain JSON object');
    const message = `package.json is not JSON: ${messageOf(error)} (line ${lineOfJsonError(text, error)})`;
    throw new BuildFailure('SourceInvalid', message, { cause: error });
  }
  if (!isJsonObject(value))
    throw invalid(`package.json is ${shown(value)}: it must be a JSON object, as in {"main": "…"}`);
  const fields = Object.fromEntries(Object.entries(value).filter(([, field]) => field !== null));
  for (const [field, check] of Object.entries(checks)) {
    if (Object.hasOwn(fields, field)) check(fields[field], field);
  }
  return fields as PackageJson;
}

type Check = (value: unknown, at: string) => void;

const text: Check = (value, at) => {
  if (typeof value !== 'string') throw wrong(at, value, 'must be a text in quotes');
  if (value.includes('\0')) throw wrong(at, value, 'must not hold a NUL');
};

const mapOfTexts =
  (example: string): Check =>
  (value, at) => {
    if (!isJsonObject(value)) throw wrong(at, value, `must be an object, as in ${example}`);
    for (const [name, inner] of Object.entries(value)) text(inner, `${at}${pathPart(name)}`);
  };

const textsOr =
  (other: (value: unknown) => boolean, otherwise: string): Check =>
  (value, at) => {
    if (Array.isArray(value)) for (const [i, item] of value.entries()) text(item, `${at}[${i}]`);
    else if (!other(value)) throw wrong(at, value, `must be a list of texts${otherwise}`);
  };

const dependencies = mapOfTexts('{"ms": "2.1.3"}');

const checks: Record<string, Check> = {
  name: text,
  version: text,
  type: text,
  main: text,
  packageManager: (value, at) => {
    text(value, at);
    // Corepack would fetch and run what an address names.
    if (!/^[a-z]+@\d[\w.-]*(\+[\w.-]+)?$/.test(String(value))) throw wrong(at, value, 'must be as in "pnpm@10.4.1"');
  },
  scripts: mapOfTexts('{"start": "node server.js"}'),
  dependencies,
  devDependencies: dependencies,
  optionalDependencies: dependencies,
  peerDependencies: dependencies,
  engines: (value, at) => {
    // npm takes the lists that some old packages have.
    if (!Array.isArray(value)) mapOfTexts('{"node": ">=20"}')(value, at);
  },
  bin: (value, at) => {
    if (typeof value !== 'string') mapOfTexts('{"tool": "./tool.js"}')(value, at);
  },
  exports: (value, at) => {
    if (typeof value !== 'string' && typeof value !== 'object') {
      throw wrong(at, value, 'must be a text or an object, as in {".": "./index.js"}');
    }
  },
  workspaces: (value, at) => {
    if (isJsonObject(value)) textsOr((inner) => inner === undefined, '')(value.packages, `${at}.packages`);
    else textsOr(() => false, ', as in ["packages/*"]')(value, at);
  },
  bundleDependencies: textsOr((value) => typeof value === 'boolean', ' or true'),
  bundledDependencies: textsOr((value) => typeof value === 'boolean', ' or true'),
};

function wrong(at: string, value: unknown, remedy: string): BuildFailure {
  return invalid(`package.json: ${at} is ${shown(value)}: ${remedy}`);
}

function invalid(message: string): BuildFailure {
  return new BuildFailure('SourceInvalid', message);
}

function shown(value: unknown): string {
  const json = JSON.stringify(value) ?? String(value);
  return json.length > 60 ? `${json.slice(0, 60)}…` : json;
}

const pathPart = (name: string) => (/^[\w$-]+$/.test(name) ? `.${name}` : `[${JSON.stringify(name.slice(0, 60))}]`);

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

/** Conditions within conditions: more than these are nobody's. */
const exportsDepthMax = 20;

/** The file that `exports` gives for `.` on Node. */
export function mainExport(exports: unknown, depth = 0): string | undefined {
  if (typeof exports === 'string') return exports;
  if (typeof exports !== 'object' || exports === null || depth > exportsDepthMax) return undefined;
  const inner = (value: unknown) => mainExport(value, depth + 1);
  if (Array.isArray(exports))
    return exports
      .slice(0, exportsDepthMax)
      .map(inner)
      .find((file) => file !== undefined);
  const map = exports as Record<string, unknown>;
  if (Object.hasOwn(map, '.')) return inner(map['.']);
  for (const condition of ['node', 'import', 'module-sync', 'require', 'default']) {
    const found = Object.hasOwn(map, condition) ? inner(map[condition]) : undefined;
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
