import { BuildFailure } from '../../failure.ts';
import { type SourceFolder, textOf } from '../../source/source.ts';
import { TypeStripper } from './type-stripper.ts';

/** More than any file that a person wrote; what a tool generated is its own affair until it runs. */
const checkedBytesMax = 4 * 1024 * 1024;
const errorsMax = 20;

/**
 * Checks that Node can run each TypeScript file of the source by taking its types away, which is what happens when the
 * service starts; the error names file and line. Tests and declarations are not part of what runs.
 */
export async function checkTypeScript(
  source: SourceFolder,
  checked: Set<string>,
  signal: AbortSignal,
  stripper = sharedStripper,
): Promise<void> {
  const errors: string[] = [];
  for (const [path, entry] of source.entries) {
    if (entry.type !== 'file' || !isRun(path) || entry.sizeBytes > checkedBytesMax) continue;
    const code = textOf(source, path) ?? '';
    if (checked.has(code)) continue;
    signal.throwIfAborted();
    const { error } = await stripper.check(path, code);
    if (error === undefined) remember(checked, code);
    else if (errors.push(error) >= errorsMax) break;
  }
  if (errors.length > 0) throw new BuildFailure('CompileFailed', errors.join('\n'));
}

const sharedStripper = new TypeStripper();

function isRun(path: string): boolean {
  return /\.[mc]?ts$/.test(path) && !/\.d\.[mc]?ts$|\.(test|spec)\.[mc]?ts$|(^|\/)node_modules\//.test(path);
}

/** The texts that passed, so that a change of one file checks one file; bounded, in their number and their size. */
function remember(checked: Set<string>, code: string): void {
  if (code.length > 64 * 1024) return;
  if (checked.size >= 1000) checked.clear();
  checked.add(code);
}
