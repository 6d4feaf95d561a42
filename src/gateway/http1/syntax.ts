/** A message that the gateway refuses: `status` is what a client is answered for it. */
export class HttpSyntaxError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.name = 'HttpSyntaxError';
    this.status = status;
  }
}

/** One entry for each latin1 character: 1 where the grammar allows it. */
export type CharacterTable = Uint8Array;

/** RFC 9110 §5.6.2: `tchar`, what methods and field names are made of. */
export const tokenCharacters = table("!#$%&'*+-.^_`|~0123456789", letters());

/** RFC 9110 §5.5: visible ASCII, space, tab and obs-text; no other control character. */
export const valueCharacters = table('\t', range(0x20, 0x7e), range(0x80, 0xff));

/** Visible ASCII without `#`: a fragment never travels (RFC 9112 §3.2). */
export const targetCharacters = table(range(0x21, 0x22), range(0x24, 0x7e));

/** A registered name or IPv4 address, as DNS and clients write them (narrower than RFC 3986's reg-name). */
export const hostCharacters = table('-._~0123456789', letters());

/** What stands between the brackets of an IPv6 address (RFC 3986 §3.2.2, without IPvFuture and zone). */
export const ipv6Characters = table(':.0123456789abcdefABCDEF');

/** Whether every character of `text` in [start, end) is in `characters`. */
export function allIn(characters: CharacterTable, text: string, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    if (characters[text.charCodeAt(at)] !== 1) return false;
  }
  return true;
}

export function isToken(text: string): boolean {
  return text !== '' && allIn(tokenCharacters, text, 0, text.length);
}

export function isFieldValue(text: string): boolean {
  return allIn(valueCharacters, text, 0, text.length);
}

/** Whether `text` from `start` is `name` (which is lower case), whatever the case of its ASCII letters. */
export function isName(text: string, start: number, name: string): boolean {
  for (let at = 0; at < name.length; at++) {
    const character = text.charCodeAt(start + at);
    const wanted = name.charCodeAt(at);
    if (character !== wanted && (character | 0x20) !== wanted) return false;
    if (character !== wanted && (character < 0x41 || character > 0x5a)) return false;
  }
  return true;
}

/** A name or address, with a port perhaps (RFC 9110 §7.2). */
export function isHost(host: string): boolean {
  const match = /^(\[[^\]]*\]|[^:]*)(?::(\d{0,5}))?$/.exec(host);
  const name = match?.[1] ?? '';
  const isNamed = name.startsWith('[')
    ? name.length > 3 && allIn(ipv6Characters, name, 1, name.length - 1)
    : name !== '' && allIn(hostCharacters, name, 0, name.length);
  return isNamed && Number(match?.[2] ?? 0) <= 65535;
}

/** Decimal digits to a safe integer, or -1. */
export function parseLength(text: string): number {
  if (text.length === 0 || text.length > 16) return -1;
  let value = 0;
  for (let at = 0; at < text.length; at++) {
    const digit = text.charCodeAt(at) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value <= Number.MAX_SAFE_INTEGER ? value : -1;
}

function table(...parts: string[]): CharacterTable {
  const characters = new Uint8Array(256);
  for (const part of parts) {
    for (const character of part) characters[character.charCodeAt(0)] = 1;
  }
  return characters;
}

function range(first: number, last: number): string {
  return String.fromCharCode(...Array.from({ length: last - first + 1 }, (_, at) => first + at));
}

function letters(): string {
  return range(0x41, 0x5a) + range(0x61, 0x7a);
}
