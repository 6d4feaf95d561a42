/**
 * Whether what a client says of earlier hops can be passed on. The gateway appends its own hop to it: a value that is
 * broken, such as one with an open quote, would swallow that hop or change what it says.
 */
import { isHost, tokenCharacters, valueCharacters } from './syntax.ts';

/** RFC 7239 §4: elements of `name=token` or `name="text"`; blanks around commas and semicolons do no harm. */
export function isForwarded(value: string): boolean {
  for (let at = skipBlanks(value, 0); at < value.length; ) {
    const character = value.charCodeAt(at);
    if (character === 0x2c || character === 0x3b) {
      at = skipBlanks(value, at + 1);
      continue;
    }
    const nameEnd = tokenEnd(value, at);
    if (nameEnd === at || value.charCodeAt(nameEnd) !== 0x3d) return false;
    const start = nameEnd + 1;
    const end = value.charCodeAt(start) === 0x22 ? quotedEnd(value, start) : tokenEnd(value, start);
    if (end <= start) return false;
    at = skipBlanks(value, end);
    const next = value.charCodeAt(at);
    if (at < value.length && next !== 0x2c && next !== 0x3b) return false;
  }
  return true;
}

const address = /^(?:[\w.:%-]+|\[[\da-fA-F:.]+\](?::\d{1,5})?)$/;

/** X-Forwarded-For: addresses, with a port or a zone perhaps, or the words that stand in for them. */
export function isAddressList(value: string): boolean {
  return value.split(',').every((member) => address.test(member.trim()));
}

/** X-Forwarded-Proto: URI schemes (RFC 3986 §3.1). */
export function isSchemeList(value: string): boolean {
  return value.split(',').every((member) => /^[a-zA-Z][a-zA-Z\d+.-]*$/.test(member.trim()));
}

/** X-Forwarded-Host. */
export function isHostList(value: string): boolean {
  return value.split(',').every((member) => isHost(member.trim()));
}

function skipBlanks(text: string, start: number): number {
  let at = start;
  while (text.charCodeAt(at) === 0x20 || text.charCodeAt(at) === 0x09) at++;
  return at;
}

function tokenEnd(text: string, start: number): number {
  let at = start;
  while (tokenCharacters[text.charCodeAt(at)] === 1) at++;
  return at;
}

/** Behind the closing quote of the quoted string (RFC 9110 §5.6.4) at `start`; -1 when it is not closed. */
function quotedEnd(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    const character = text.charCodeAt(at);
    if (character === 0x22) return at + 1;
    if (character === 0x5c) at++;
    if (valueCharacters[text.charCodeAt(at)] !== 1) return -1;
  }
  return -1;
}
