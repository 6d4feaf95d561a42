import { depthMax } from '../../schema/json.ts';

/** A syntax error in JSON; the message says the line, the column and what was expected. */
export class JsonError extends Error {
  override readonly name = 'JsonError';
}

export interface ParsedJson {
  value: unknown;
  /** Paths of keys that stand twice in one object, for example `spec.replicas`; the last value is the one kept. */
  duplicates: string[];
}

/** At most this many repeated keys are named, each by so much of its path: a body may hold hundreds of thousands. */
const duplicatesMax = 50;
const pathCharactersMax = 256;

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
  #unnamed = 0;

  constructor(text: string) {
    this.#text = text;
  }

  parse(): ParsedJson {
    const value = this.#value();
    this.#skipSpace();
    if (this.#at < this.#text.length) throw this.#unexpected('the end');
    if (this.#unnamed > 0) this.#duplicates.push(`(and ${this.#unnamed} more)`);
    return { value, duplicates: this.#duplicates };
  }

  #value(): unknown {
    this.#skipSpace();
    const first = this.#text[this.#at];
    if (first === '{') return this.#object();
    if (first === '[') return this.#array();
    if (first === '"') return this.#string();
    if (first === 't') return this.#word('true', true);
    if (first === 'f') return this.#word('false', false);
    if (first === 'n') return this.#word('null', null);
    return this.#number();
  }

  #word<T>(word: string, value: T): T {
    if (!this.#text.startsWith(word, this.#at)) throw this.#unexpected('a value');
    this.#at += word.length;
    return value;
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
      if (seen.has(key)) this.#noteDuplicate();
      seen.add(key);
      define(object, key, this.#value());
      this.#path.pop();
    } while (this.#isNext(','));
    this.#expect('}', "',' or '}'");
    return object;
  }

  #noteDuplicate(): void {
    if (this.#duplicates.length === duplicatesMax) this.#unnamed++;
    else this.#duplicates.push(pathText(this.#path));
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
      // Half of a pair of surrogates has no UTF-8; Go puts the same in its place.
      return (JSON.parse(this.#text.slice(start, end + 1)) as string).toWellFormed();
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

const numberPattern = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;

/** An assignment to `__proto__` would change the prototype instead of setting a key. */
function define(object: Record<string, unknown>, key: string, value: unknown): void {
  if (key !== '__proto__') object[key] = value;
  else Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
}

function pathText(path: readonly (string | number)[]): string {
  let text = '';
  for (const part of path) {
    text += typeof part === 'number' ? `[${part}]` : text === '' ? part : `.${part}`;
    if (text.length > pathCharactersMax) return `${text.slice(0, pathCharactersMax)}…`;
  }
  return text;
}
