/** The thread of type-stripper.ts: gets `{path, code}`, answers with what is wrong with it. */
import { stripTypeScriptTypes } from 'node:module';
import { parentPort } from 'node:worker_threads';

// Node warns that the function is experimental: no news for whoever reads the platform's log.
process.emitWarning = () => {};

parentPort?.on('message', ({ path, code }: { path: string; code: string }) => {
  try {
    stripTypeScriptTypes(code, { sourceUrl: path });
    parentPort?.postMessage({});
  } catch (error) {
    parentPort?.postMessage(said(path, error));
  }
});

function said(path: string, error: unknown): { error: string; isBroken?: boolean } {
  // What is neither of the two kinds that Node documents is the parser's own end (memory access out of bounds).
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  const isSyntax = code === 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX';
  if (!(error instanceof Error) || (!isSyntax && code !== 'ERR_INVALID_TYPESCRIPT_SYNTAX')) {
    return { error: `${path}: the TypeScript parser gives up on it: does it nest too deeply?`, isBroken: true };
  }
  // Node puts `path:line`, the line and a marker before the stack proper.
  const [place = path, ...quoted] = (error.stack ?? '').split(/\n\s*\n|\nSyntaxError/)[0]?.split('\n') ?? [];
  const where = place.startsWith(path) ? place : path;
  const remedy = isSyntax ? ' (write it without, or compile it: a "build" script in package.json)' : '';
  return { error: [`${where}: ${error.message}${remedy}`, ...quoted].join('\n').slice(0, 4000) };
}
