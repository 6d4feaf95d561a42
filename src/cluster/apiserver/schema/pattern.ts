import { createContext, Script } from 'node:vm';

/** A match that takes longer than this is given up. */
const timeoutMs = 50;
/** Texts of up to this length are matched directly: 2^16 steps, the worst for them, take less than a millisecond. */
const shortLength = 16;
const patternsMax = 1000;

const compiled = new Map<string, RegExp>();
const box = createContext({ pattern: /(?:)/, text: '' });
const match = new Script('pattern.test(text)');

/**
 * Whether `text` matches a schema's `pattern`. Kubernetes matches in linear time (RE2); Node's engine may take
 * exponential time, and a user's CustomResourceDefinition must not hold up the server: longer texts are matched under a
 * deadline.
 */
export function matchPattern(source: string, text: string): 'yes' | 'no' | 'undecided' {
  const pattern = patternOf(source);
  if (text.length <= shortLength) return pattern.test(text) ? 'yes' : 'no';
  try {
    Object.assign(box, { pattern, text });
    return match.runInContext(box, { timeout: timeoutMs }) ? 'yes' : 'no';
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') return 'undecided';
    throw error;
  }
}

function patternOf(source: string): RegExp {
  let pattern = compiled.get(source);
  if (!pattern) {
    pattern = compile(source);
    if (compiled.size >= patternsMax) compiled.clear();
    compiled.set(source, pattern);
  }
  return pattern;
}

/** Go's syntax is RE2's; most of it is the same here, some only without the strictness of the u flag. */
function compile(source: string): RegExp {
  try {
    return new RegExp(source, 'u');
  } catch {
    try {
      return new RegExp(source);
    } catch {
      return /(?:)/; // A pattern that only Go understands is not checked: refusing every value would be worse.
    }
  }
}
