import { format } from 'node:util';

/** @typedef {'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal'} Level */
/** @typedef {Record<Level, (...values: unknown[]) => void>} Log */

/** @type {readonly Level[]} */
const levels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'];

/**
 * The logger that functions get as `context.log`: one line a call, warnings and worse on standard error.
 * `least` is the lowest level that is written; `silent` writes none. Errors are written with their stack.
 * @param {string} least
 * @returns {Log}
 */
export function createLog(least) {
  const from = least === 'silent' ? levels.length : Math.max(0, levels.indexOf(/** @type {Level} */ (least)));
  const log = /** @type {Log} */ ({});
  levels.forEach((level, i) => {
    const stream = i >= levels.indexOf('warn') ? process.stderr : process.stdout;
    log[level] = i < from ? () => {} : (...values) => stream.write(`${level.toUpperCase()} ${line(values)}\n`);
  });
  return log;
}

/** Anything may be logged, also what throws when it is looked at. @param {unknown[]} values */
function line(values) {
  try {
    return format(...values);
  } catch {
    return values.map(shown).join(' ');
  }
}

/** @param {unknown} value */
function shown(value) {
  try {
    return format(value);
  } catch {
    return `(a ${typeof value} that cannot be printed)`;
  }
}
