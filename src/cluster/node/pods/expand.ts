import { StartError } from '../driver.ts';

/** One argument or variable is at most this long on Linux (MAX_ARG_STRLEN): no program could be given a longer one. */
const textMaxBytes = 128 * 1024;
/** All of them together: what Linux takes with its usual limits. */
const textsMaxBytes = 2 * 1024 * 1024;

/**
 * Replaces `$(NAME)` by the variable's value; what is not defined stays as it is, `$$(NAME)` gives `$(NAME)`
 * (Kubernetes, "Dependent environment variables"); the first of `variables` that has the name is meant.
 * Throws StartError when that makes more than a program could get: thirty variables that each name the one before twice
 * are a gigabyte.
 */
export function expand(text: string, ...variables: readonly Readonly<Record<string, string>>[]): string {
  let length = text.length;
  return text.replace(/\$\$|\$\(([^()]*)\)/g, (found, name: string | undefined) => {
    if (found === '$$') return '$';
    const having = name === undefined ? undefined : variables.find((each) => Object.hasOwn(each, name));
    if (name === undefined || !having) return found;
    const value = having[name] ?? '';
    length += value.length - found.length;
    if (length > textMaxBytes) {
      const shown = text.length > 100 ? `${text.slice(0, 100)}…` : text;
      throw new StartError(
        'CreateContainerConfigError',
        `${JSON.stringify(shown)} becomes longer than ${textMaxBytes} bytes when its variables are filled in`,
      );
    }
    return value;
  });
}

/** Counts what a program is given; throws StartError when it is more than any could be. */
export class TextBudget {
  #leftBytes = textsMaxBytes;

  take(...texts: string[]): void {
    for (const text of texts) this.#leftBytes -= Buffer.byteLength(text) + 1;
    if (this.#leftBytes >= 0) return;
    throw new StartError(
      'CreateContainerConfigError',
      `the command and environment are larger than ${textsMaxBytes} bytes together: no program could be given them`,
    );
  }
}
