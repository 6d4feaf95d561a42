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
      return { isBack, pattern: patternOf(isBack ? line.slice(1).trim() : line) };
    });
  return (path) => {
    if (isAlwaysIgnored(path)) return true;
    let isIgnored = false;
    for (const { isBack, pattern } of rules) if (pattern.test(path)) isIgnored = !isBack;
    return isIgnored;
  };
}

export function isAlwaysIgnored(path: string): boolean {
  return path.split('/').some((segment) => alwaysIgnored.includes(segment));
}

function patternOf(glob: string): RegExp {
  const normal = glob.replace(/^\.?\//, '').replace(/\/+$/, '');
  let source = '';
  for (let i = 0; i < normal.length; i++) {
    const character = normal.charAt(i);
    if (normal.startsWith('**/', i)) {
      source += '(?:.*/)?';
      i += 2;
    } else if (normal.startsWith('**', i)) {
      source += '.*';
      i += 1;
    } else if (character === '*') source += '[^/]*';
    else if (character === '?') source += '[^/]';
    else source += character.replace(/[.+^${}()|[\]\\]/, '\\$&');
  }
  return new RegExp(`^${source}(?:/.*)?$`);
}
