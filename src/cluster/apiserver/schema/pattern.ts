import { createContext, Script } from 'node:vm';

/** A match that takes longer than this is given up. */
const timeoutMs = 50;
/** All matches of one object together take no longer than about this. */
const objectTimeoutMs = 500;
/** Texts of up to this length are matched directly with simple patterns: 2^16 steps at worst take no time. */
const shortLength = 16;

/** What is compiled is kept, up to so many patterns of so much text. */
const patternsMax = 1000;
const patternCharactersMax = 1024 * 1024;

const compiled = new Map<string, RegExp>();
let compiledCharacters = 0;
const box = createContext({ pattern: /(?:)/, text: '' });
const match = new Script('pattern.test(text)');

/** How long the patterns of one object may still take. */
export class PatternBudget {
  leftMs = objectTimeoutMs;
}

/**
 * Whether `text` matches a schema's `pattern`. Kubernetes matches in linear time (RE2); Node's engine may take
 * exponential time, and a user's CustomResourceDefinition must not hold up the server: longer texts are matched under a
 * deadline, and all texts of an object under one.
 */
export function matchPattern(
  source: string,
  text: string,
  budget: PatternBudget = new PatternBudget(),
): 'yes' | 'no' | 'undecided' {
  const pattern = patternOf(source);
  if (text.length <= shortLength && isSimple(source)) return pattern.test(text) ? 'yes' : 'no';
  if (budget.leftMs <= 0) return 'undecided';
  const startMs = performance.now();
  try {
    Object.assign(box, { pattern, text });
    return match.runInContext(box, { timeout: timeoutMs }) ? 'yes' : 'no';
  } catch {
    return 'undecided'; // Out of time; or too large for the engine, which says so only when it is used.
  } finally {
    budget.leftMs -= performance.now() - startMs;
    Object.assign(box, { pattern: undefined, text: '' });
  }
}

/** Two quantifiers over 16 characters can do no harm; counted ones can multiply whatever the text is. */
const isSimple = (source: string): boolean =>
  source.length <= 256 &&
  !source.includes('{') &&
  (source.match(/[*+?]/g)?.length ?? 0) <= 2 &&
  !/\\[1-9k]/.test(source);

function patternOf(source: string): RegExp {
  let pattern = compiled.get(source);
  if (!pattern) {
    pattern = compile(source);
    compiledCharacters += source.length;
    if (compiled.size >= patternsMax || compiledCharacters > patternCharactersMax) {
      compiled.clear();
      compiledCharacters = source.length;
    }
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
