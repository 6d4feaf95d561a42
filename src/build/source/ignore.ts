/** Never part of a source: what installing makes again, and what belongs to the tools of one machine. */
const alwaysIgnored = ['node_modules', '.git', '.func', '.DS_Store'];

/** Files whose lines say what not to upload; the first that a folder has counts. */
export const ignoreFiles = ['.dockerignore', '.funcignore'];

/**
 * Tells which paths of a folder are left out, by the rules of .dockerignore: one pattern a line, `#` comments, `*` and
 * `?` within a segment, `**` across, `!` takes back, the last match wins. A pattern also covers all that lies below it.
 */
export function ignoreRules(text: string): (path: string) => boolean {
  const rules = text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const isBack = line.startsWith('!');
      return { isBack, isMatch: patternOf(isBack ? line.slice(1).trim() : line) };
    });
  return (path) => {
    if (isAlwaysIgnored(path)) return true;
    let isIgnored = false;
    for (const { isBack, isMatch } of rules) if (isMatch(path)) isIgnored = !isBack;
    return isIgnored;
  };
}

export function isAlwaysIgnored(path: string): boolean {
  return path.split('/').some((segment) => alwaysIgnored.includes(segment));
}

/** A character, or `?`, one star, two, or two and a slash: folders. */
type Token = string;

/**
 * Whether a path matches. All places where the pattern may be are followed at once, a character at a time, so that it
 * takes as long as path and pattern are long, however many stars there are.
 */
function patternOf(glob: string): (path: string) => boolean {
  const normal = glob.replace(/^\.?\//, '').replace(/\/+$/, '');
  const tokens: Token[] = normal.match(/\*\*\/|\*\*|[\s\S]/g) ?? [];
  const isSimple = tokens.every((token) => token.length === 1 && token !== '*' && token !== '?');
  if (isSimple) return (path) => path.startsWith(normal) && isSegmentEnd(path, normal.length);
  return (path) => {
    let places = new Set<number>();
    arrive(tokens, places, 0);
    for (let at = 0; at < path.length && places.size > 0; at++) {
      if (places.has(tokens.length) && path[at] === '/') return true;
      const next = new Set<number>();
      for (const place of places) step(tokens, next, place, path.charAt(at));
      places = next;
    }
    return places.has(tokens.length);
  };
}

const isSegmentEnd = (path: string, at: number) => at === path.length || path[at] === '/';

/** What stars match may be nothing: then the next token is at its turn, too. */
function arrive(tokens: readonly Token[], places: Set<number>, at: number): void {
  let place = at;
  while (tokens[place]?.startsWith('*')) places.add(place++);
  places.add(place);
}

/** Within the folders that two stars and a slash stand for, which only a slash ends. */
const insideOf = (place: number) => -1 - place;

function step(tokens: readonly Token[], next: Set<number>, place: number, character: string): void {
  const at = place < 0 ? -1 - place : place;
  const token = tokens[at];
  if (token === '**/') {
    next.add(insideOf(at));
    if (character === '/') arrive(tokens, next, at + 1);
  } else if (token === '**' || (token === '*' && character !== '/')) arrive(tokens, next, at);
  else if (token === character || (token === '?' && character !== '/')) arrive(tokens, next, at + 1);
}
