import type { MessageLimits } from './limits.ts';
import { HttpSyntaxError, isName, tokenCharacters, valueCharacters } from './syntax.ts';

/**
 * Walks the field lines of a head or trailer section, each checked to the letter of RFC 9112 §5. Once `next()` returns
 * true the current field's name is text[nameStart, nameEnd) and its value, without surrounding whitespace,
 * text[valueStart, valueEnd); its line is text[lineStart, lineEnd), CRLF included. One walker serves many messages.
 */
export class FieldWalker {
  text = '';
  lineStart = 0;
  lineEnd = 0;
  nameEnd = 0;
  valueStart = 0;
  valueEnd = 0;
  #count = 0;
  #countMax = 0;

  /** Starts at the field line that begins at `start`. */
  begin(text: string, start: number, limits: MessageLimits): void {
    this.text = text;
    this.lineEnd = start;
    this.#count = 0;
    this.#countMax = limits.fieldCount;
  }

  /** Moves to the next field; false at the empty line that ends the section. */
  next(): boolean {
    const text = this.text;
    const start = this.lineEnd;
    let at = start;
    let character = text.charCodeAt(at);
    if (character === 0x0d) {
      if (text.charCodeAt(at + 1) !== 0x0a) throw new HttpSyntaxError(400, 'a CR stands alone');
      return false;
    }
    if (++this.#count > this.#countMax) {
      throw new HttpSyntaxError(431, `there are more than ${this.#countMax} header fields`);
    }
    while (tokenCharacters[character] === 1) character = text.charCodeAt(++at);
    if (character !== 0x3a || at === start) throw badName(text, start, at);
    this.lineStart = start;
    this.nameEnd = at;

    character = text.charCodeAt(++at);
    while (character === 0x20 || character === 0x09) character = text.charCodeAt(++at);
    this.valueStart = at;
    while (valueCharacters[character] === 1) character = text.charCodeAt(++at);
    if (character !== 0x0d || text.charCodeAt(at + 1) !== 0x0a) {
      const name = text.slice(start, this.nameEnd);
      throw new HttpSyntaxError(400, `the value of the header field ${name} has a control character in it`);
    }
    this.lineEnd = at + 2;
    while (at > this.valueStart && isBlank(text.charCodeAt(at - 1))) at--;
    this.valueEnd = at;
    return true;
  }

  /** Whether the field has this name (lower case). */
  is(name: string): boolean {
    return this.nameEnd - this.lineStart === name.length && isName(this.text, this.lineStart, name);
  }

  value(): string {
    return this.text.slice(this.valueStart, this.valueEnd);
  }

  /** The value, behind what another line of the same field said: they are one list (RFC 9110 §5.3). */
  joined(before: string): string {
    return before === '' ? this.value() : `${before}, ${this.value()}`;
  }
}

/** Whether a comma-separated list has `token` (lower case) as a member. */
export function listHas(list: string, token: string): boolean {
  if (list.length === token.length) return list.toLowerCase() === token;
  return list.split(',').some((member) => member.trim().toLowerCase() === token);
}

/** `fields` (complete lines) without those whose lower-case name is in `names`. */
export function withoutFields(fields: string, names: ReadonlySet<string>): string {
  let kept = '';
  for (let start = 0; start < fields.length; ) {
    const end = fields.indexOf('\r\n', start) + 2;
    const name = fields.slice(start, fields.indexOf(':', start)).toLowerCase();
    if (!names.has(name)) kept += fields.slice(start, end);
    start = end;
  }
  return kept;
}

/** The value of the first field named `name` (lower case) among `fields` (complete lines). */
export function fieldValue(fields: string, name: string): string | undefined {
  for (let start = 0; start < fields.length; ) {
    const end = fields.indexOf('\r\n', start);
    const colon = fields.indexOf(':', start);
    if (colon - start === name.length && fields.slice(start, colon).toLowerCase() === name) {
      return fields.slice(colon + 1, end).trim();
    }
    start = end + 2;
  }
  return undefined;
}

function isBlank(character: number): boolean {
  return character === 0x20 || character === 0x09;
}

function badName(text: string, start: number, at: number): HttpSyntaxError {
  const character = text.charCodeAt(at);
  if (isBlank(character)) {
    if (at === start) return new HttpSyntaxError(400, 'a header line is folded (obs-fold)');
    const name = text.slice(start, at);
    return new HttpSyntaxError(400, `there is whitespace between the header field name ${name} and its colon`);
  }
  if (at === start && character === 0x3a) return new HttpSyntaxError(400, 'a header field has no name');
  if (character === 0x0d) return new HttpSyntaxError(400, 'a header line has no colon');
  return new HttpSyntaxError(400, 'a header field name has a character that is not allowed in it');
}
