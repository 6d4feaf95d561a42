/** A syntax error in JSON; the message says the line, the column and what was expected. */
export class JsonError extends Error {
  override readonly name = 'JsonError';
}

export interface ParsedJson {
  value: unknown;
  /** Paths of keys that stand twice in one object, for example `spec.replicas`; the last value is the one kept. */
  duplicates: string[];
}

/** Deeper nesting than this is an attack on the stack, not an object of the API. */
const depthMax = 500;

/**
 * Parses JSON (RFC 8259) as the API needs it: reports duplicate keys, which JSON.parse drops silently, and refuses
 * integers that a double cannot hold, which JSON.parse damages silently. Throws JsonError.
 */
export function parseJson(text: string): ParsedJson {
  return new Parser(text).parse();
}

class Parser {
  readonly #text: string;
  readonly #duplicates: string[] = [];
  readonly #path: (string | number)[] = [];
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  parse(): ParsedJson {
    const value = this.#value();
    this.#skipSpace();
    if (this.#at < this.#text.length) throw this.#unexpected('the end');
    return { value, duplicates: this.#duplicates };
  }

  #value(): unknown {
    this.#skipSpace();
    const first = this.#text[this.#at];
    if (first === '{') return this.#object();
    if (first === '[') return this.#array();
    if (first === '"') return this.#string();
    for (const [word, value] of words) {
      if (this.#text.startsWith(word, this.#at)) {
        this.#at += word.length;
        return value;
      }
    }
    return this.#number();
  }

  #object(): Record<string, unknown> {
    const object: Record<string, unknown> = {};
    const seen = new Set<string>();
    this.#enter();
    if (this.#isNext('}')) return object;
    do {
      this.#skipSpace();
      if (this.#text[this.#at] !== '"') throw this.#unexpected('a key in quotes');
      const key = this.#string();
      this.#expect(':', "':' after the key");
      this.#path.push(key);
      if (seen.has(key)) this.#duplicates.push(pathText(this.#path));
      seen.add(key);
      define(object, key, this.#value());
      this.#path.pop();
    } while (this.#isNext(','));
    this.#expect('}', "',' or '}'");
    return object;
  }

  #array(): unknown[] {
    const array: unknown[] = [];
    this.#enter();
    if (this.#isNext(']')) return array;
    do {
      this.#path.push(array.length);
      array.push(this.#value());
      this.#path.pop();
    } while (this.#isNext(','));
    this.#expect(']', "',' or ']'");
    return array;
  }

  #string(): string {
    const start = this.#at;
    let end = start + 1;
    let hasEscape = false;
    for (; ; end++) {
      const code = this.#text.charCodeAt(end);
      if (code === 0x22) break;
      if (code === 0x5c) {
        hasEscape = true;
        end++;
      } else if (!(code >= 0x20)) {
        this.#at = end; // A control character, or NaN: past the end.
        throw this.#unexpected("'\"' at the end of the string");
      }
    }
    this.#at = end + 1;
    if (!hasEscape) return this.#text.slice(start + 1, end);
    try {
      return JSON.parse(this.#text.slice(start, end + 1));
    } catch {
      this.#at = start; // The message of JSON.parse counts from the string's start: say the line instead.
      throw this.#error('the string has an escape that JSON does not know');
    }
  }

  #number(): number {
    numberPattern.lastIndex = this.#at;
    const text = numberPattern.exec(this.#text)?.[0];
    if (text === undefined) throw this.#unexpected('a value');
    const value = Number(text);
    if (!Number.isFinite(value)) throw this.#error(`${text} is too large a number`);
    // What JavaScript would write the same again is not damaged, although a double may not hold it exactly.
    const isDamaged = /^-?\d{16,}$/.test(text) && String(value) !== text && BigInt(text) !== BigInt(value);
    if (isDamaged) {
      const where = pathText(this.#path) || 'the value';
      throw this.#error(`${where} is ${text}: integers must lie between -(2^53-1) and 2^53-1`);
    }
    this.#at += text.length;
    return value;
  }

  /** Steps into an object or array. */
  #enter(): void {
    if (this.#path.length >= depthMax) throw this.#error(`nested deeper than ${depthMax} levels`);
    this.#at++;
  }

  #isNext(character: string): boolean {
    this.#skipSpace();
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  #expect(character: string, expected: string): void {
    if (!this.#isNext(character)) throw this.#unexpected(expected);
  }

  #skipSpace(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
      this.#at++;
    }
  }

  #unexpected(expected: string): JsonError {
    const found = this.#at < this.#text.length ? JSON.stringify(this.#text[this.#at]) : 'the end of the text';
    return this.#error(`expected ${expected}, found ${found}`);
  }

  #error(what: string): JsonError {
    const before = this.#text.slice(0, this.#at);
    const line = before.split('\n').length;
    const column = this.#at - before.lastIndexOf('\n');
    return new JsonError(`line ${line}, column ${column}: ${what}`);
  }
}

const words: readonly [string, unknown][] = [
  ['true', true],
  ['false', false],
  ['null', null],
];
const numberPattern = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;

/** An assignment to `__proto__` would change the prototype instead of setting a key. */
function define(object: Record<string, unknown>, key: string, value: unknown): void {
  if (key !== '__proto__') object[key] = value;
  else Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
}

const pathText = (path: readonly (string | number)[]): string =>
  path.reduce<string>(
    (text, part) => (typeof part === 'number' ? `${text}[${part}]` : text === '' ? part : `${text}.${part}`),
    '',
  );
