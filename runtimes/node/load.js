import { readFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

/** @typedef {import('./log.js').Log} Log */
/** @typedef {import('./context.js').Context} Context */
/** @typedef {(context: Context, input?: unknown) => unknown} Handle */

/**
 * What a function's module offers, with the names that Knative's Node functions use. Only `handle` is required.
 * @typedef {object} Loaded
 * @property {Handle} handle
 * @property {() => unknown} [init] before the first request; the process ends when it fails
 * @property {() => unknown} [shutdown] after the last one
 * @property {() => unknown} [liveness] throws, or returns false, when the process must be restarted
 * @property {() => unknown} [readiness] throws, or returns false, when no requests should come
 */

/**
 * Imports the function. Throws an Error that names the file and the exports found when there is nothing to run.
 * @param {string} file
 * @param {Log} log
 * @returns {Promise<Loaded>}
 */
export async function loadFunction(file, log) {
  const path = resolve(file);
  const module = await importModule(path, file);
  const found = [module, module.default, module.default?.default].find((m) => typeof m?.handle === 'function');
  if (found) return hooks(found);
  const bare = [module.default, module.default?.default].find((m) => typeof m === 'function');
  if (bare) return { ...hooks(module), handle: bare };
  const exported = Object.keys(module).filter((name) => name !== 'module.exports');
  const names = exported.length === 0 ? 'nothing' : exported.join(', ');
  throw new Error(`${file} exports ${names}: it must export a function named handle (${hint(path)})`);

  /** @param {any} from @returns {Loaded} */
  function hooks(from) {
    const { handle, init, shutdown, liveness, readiness, cors, logLevel } = from;
    if (cors !== undefined) log.warn('cors is not supported by this runtime: set the headers in the reply');
    if (logLevel !== undefined) log.debug('logLevel is ignored: set FUNC_LOG_LEVEL');
    return { handle, init, shutdown, liveness, readiness };
  }
}

/** @param {string} path @param {string} file @returns {Promise<any>} */
async function importModule(path, file) {
  try {
    return await import(pathToFileURL(path).href);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const message = `${file} could not be loaded: ${error.message}`;
    throw new Error(message, { cause: error });
  }
}

/** @param {string} path */
function hint(path) {
  return isModule(path) ? 'export const handle = (context, body) => …' : 'exports.handle = (context, body) => …';
}

/** Whether Node reads the file as an ES module. @param {string} path */
function isModule(path) {
  if (/\.m[jt]s$/.test(basename(path))) return true;
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    try {
      return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')).type === 'module';
    } catch {
      if (folder === dirname(folder)) return false; // No package.json up to the root: CommonJS.
    }
  }
}
