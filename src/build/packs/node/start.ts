import { posix } from 'node:path';
import { BuildFailure } from '../../failure.ts';
import { type SourceFolder, textOf } from '../../source/source.ts';
import { mainExport, type PackageJson } from './package-json.ts';
import { yamlMap } from './yaml-map.ts';

/** How the image is started, and why so. */
export type StartPlan =
  | { kind: 'function'; entry: string; invoke: FunctionInvoke; because: string }
  | { kind: 'server'; command: string[]; because: string };

/** What the function takes; `auto` goes by each request. */
export type FunctionInvoke = 'http' | 'cloudevent' | 'auto';

const indexFiles = ['index.ts', 'index.mts', 'index.js', 'index.mjs', 'index.cjs'];

/** Whether there is anything here that this pack could start. */
export function startsWithNode(source: SourceFolder): string | undefined {
  return ['package.json', ...indexFiles].find((path) => source.entries.has(path));
}

/** Decides between function and server, from the folder as it will be in the image. */
export function decideStart(source: SourceFolder, packageJson: PackageJson): StartPlan {
  const entry = findEntry(source, packageJson);
  const funcYaml = readFuncYaml(source);
  if (funcYaml) {
    if (entry === undefined) throw entryNotFound(source, packageJson, 'func.yaml says that this is a function');
    return { kind: 'function', entry, invoke: funcYaml.invoke, because: `func.yaml, invoke: ${funcYaml.invoke}` };
  }
  if (entry !== undefined && exportsHandle(textOf(source, entry) ?? '')) {
    return { kind: 'function', entry, invoke: 'auto', because: `${entry} exports handle` };
  }
  const script = packageJson.scripts?.start;
  if (script !== undefined && script.trim() !== '') {
    return { kind: 'server', command: startCommand(source, script.trim()), because: `scripts.start is "${script}"` };
  }
  if (entry === undefined) throw entryNotFound(source, packageJson, 'this is a Node.js project');
  return { kind: 'server', command: ['node', entry], because: `${entry} exports no handle` };
}

/** Whether the module has an export named `handle`, as ESM or CommonJS; found in its text, without running it. */
export function exportsHandle(code: string): boolean {
  // With single blanks no pattern below can search one blank after the other, again and again.
  const text = withoutComments(code).replace(/\s+/g, ' ');
  return (
    [
      /\bexport (?:async )?function ?\*? ?handle\b/,
      /\bexport (?:const|let|var) handle\b/,
      /\bexports ?\. ?handle ?=/,
      /\bexports ?\[ ?['"]handle['"] ?\] ?=/,
    ].some((pattern) => pattern.test(text)) ||
    hasBlock(text, /\bexport ?\{/g, /(?:^|[,\s])handle ?(?:,|$)/) ||
    hasBlock(text, /\bmodule ?\. ?exports ?= ?\{|\bexport default ?\{/g, /\bhandle\b/)
  );
}

/** Whether some `{ … }` that `start` begins holds what matches, up to its first `}`; reads the text once. */
function hasBlock(text: string, start: RegExp, content: RegExp): boolean {
  for (let match = start.exec(text); match; match = start.exec(text)) {
    const end = text.indexOf('}', start.lastIndex);
    if (content.test(text.slice(start.lastIndex, end < 0 ? undefined : end))) return true;
    if (end < 0) return false;
    start.lastIndex = end;
  }
  return false;
}

function findEntry(source: SourceFolder, packageJson: PackageJson): string | undefined {
  const named = mainExport(packageJson.exports) ?? packageJson.main;
  if (typeof named === 'string') {
    const path = posix.normalize(named).replace(/\/$/, '');
    const tries = [path, ...['.js', '.cjs', '.mjs', '.ts'].map((ext) => path + ext), `${path}/index.js`];
    const found = tries.find((candidate) => source.entries.get(candidate)?.type === 'file');
    if (found !== undefined) return found;
  }
  return indexFiles.find((path) => source.entries.get(path)?.type === 'file');
}

function entryNotFound(source: SourceFolder, packageJson: PackageJson, what: string): BuildFailure {
  const named = mainExport(packageJson.exports) ?? packageJson.main;
  const looked = named === undefined ? indexFiles.join(', ') : `${named} (from package.json), ${indexFiles.join(', ')}`;
  const seen = [...source.entries.keys()].filter((path) => /^[^/]+$/.test(path)).slice(0, 10);
  const message = `${what}, but there is no entry point: looked for ${looked}; the root has ${seen.join(', ')}`;
  const remedy = 'name the file in "main", or the command in scripts.start, of package.json';
  return new BuildFailure('EntryPointNotFound', `${message}: ${remedy}`);
}

/**
 * `node file.js …` is run as it is; anything else by the shell, as npm would, with the dependencies' commands in
 * PATH.
 */
function startCommand(source: SourceFolder, script: string): string[] {
  const isPlain = /^[\w@%+=:,./ -]+$/.test(script) && !/^\w+=/.test(script);
  const words = script.split(/\s+/);
  if (isPlain && words[0] === 'node') {
    const file = words.slice(1).find((word) => !word.startsWith('-'));
    if (file !== undefined && !hasModule(source, file)) {
      const remedy = 'add the file, or a scripts.build that makes it';
      throw new BuildFailure('EntryPointNotFound', `scripts.start is "${script}", but there is no ${file}: ${remedy}`);
    }
    return words;
  }
  const run = isPlain ? `exec ${script}` : script;
  return ['sh', '-c', `PATH="$PWD/node_modules/.bin:$PATH"; export PATH; ${run}`];
}

function hasModule(source: SourceFolder, file: string): boolean {
  const path = posix.normalize(file).replace(/\/$/, '');
  if (path === '.') return indexFiles.some((index) => source.entries.has(index));
  if (path.startsWith('node_modules/')) return true;
  return [path, `${path}.js`, `${path}.cjs`, `${path}/index.js`].some((candidate) => source.entries.has(candidate));
}

function readFuncYaml(source: SourceFolder): { invoke: FunctionInvoke } | undefined {
  const text = textOf(source, 'func.yaml');
  if (text === undefined) return undefined;
  const { invoke = 'http', runtime = 'node' } = yamlMap(text, 'func.yaml', 'invoke: http');
  if (runtime !== 'node' && runtime !== 'typescript') {
    const message = `func.yaml: runtime is ${JSON.stringify(runtime)}: this version builds node and typescript`;
    throw new BuildFailure('NotDetected', message);
  }
  if (invoke !== 'http' && invoke !== 'cloudevent') {
    throw new BuildFailure(
      'SourceInvalid',
      `func.yaml: invoke is ${JSON.stringify(invoke)}: must be http or cloudevent`,
    );
  }
  return { invoke };
}

/**
 * Blanks comments out; strings that hold `//` or a comment's start are kept whole. What is not closed ends with the
 * line or the text.
 */
function withoutComments(code: string): string {
  return code.replace(
    /("(?:[^"\\\n]|\\.)*"?|'(?:[^'\\\n]|\\.)*'?|`(?:[^`\\]|\\[\s\S])*`?)|\/\*[\s\S]*?(?:\*\/|$)|\/\/[^\n]*/g,
    (_all, literal: string | undefined) => literal ?? ' ',
  );
}
