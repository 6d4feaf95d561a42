import { stripTypeScriptTypes } from 'node:module';
import { BuildFailure } from '../../failure.ts';
import type { SourceTree } from '../../source/tree.ts';

/**
 * Checks that Node can run each TypeScript file of the tree by taking its types away, which is what happens when the
 * service starts; the error names file and line. Tests and declarations are not part of what runs.
 */
export function checkTypeScript(tree: SourceTree, checked: Set<string>): void {
  if (!hasWarned) takeWarning();
  const errors: string[] = [];
  for (const [path, entry] of tree) {
    if (entry.type !== 'file' || !isRun(path)) continue;
    const code = entry.content.toString('utf8');
    if (checked.has(code)) continue;
    const error = errorOf(path, code);
    if (error !== undefined) errors.push(error);
    else remember(checked, code);
  }
  if (errors.length > 0) throw new BuildFailure('CompileFailed', errors.join('\n'));
}

let hasWarned = false;

/**
 * Node warns once, on the first call, that the function is experimental: no news for whoever reads the platform's
 * log.
 */
function takeWarning(): void {
  hasWarned = true;
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    stripTypeScriptTypes('');
  } finally {
    process.emitWarning = emitWarning;
  }
}

function isRun(path: string): boolean {
  return /\.[mc]?ts$/.test(path) && !/\.d\.[mc]?ts$|\.(test|spec)\.[mc]?ts$|(^|\/)node_modules\//.test(path);
}

function errorOf(path: string, code: string): string | undefined {
  try {
    stripTypeScriptTypes(code, { sourceUrl: path });
    return undefined;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    // Node puts `path:line`, the line and a marker before the stack proper.
    const [place = path, ...quoted] = (error.stack ?? '').split(/\n\s*\n|\nSyntaxError/)[0]?.split('\n') ?? [];
    const where = place.startsWith(path) ? place : path;
    const isSyntax = 'code' in error && error.code === 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX';
    const remedy = isSyntax ? ' (write it without, or compile it: a "build" script in package.json)' : '';
    return [`${where}: ${error.message}${remedy}`, ...quoted].join('\n');
  }
}

/** The texts that passed, so that a change of one file checks one file; bounded. */
function remember(checked: Set<string>, code: string): void {
  if (checked.size >= 2000) checked.clear();
  checked.add(code);
}
