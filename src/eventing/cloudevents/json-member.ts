/**
 * The text of one member's value in a JSON object, as it is written there; the last one of that name, as JSON.parse
 * has it. `text` must be a JSON object that JSON.parse accepts. Example: memberText('{"a":1.0}', 'a') is '1.0'.
 */
export function memberText(text: string, name: string): string | undefined {
  let found: string | undefined;
  let at = skipSpace(text, text.indexOf('{') + 1);
  while (text[at] === '"') {
    const keyEnd = skipString(text, at);
    const key = text.slice(at, keyEnd);
    const valueStart = skipSpace(text, skipSpace(text, keyEnd) + 1);
    const valueEnd = skipValue(text, valueStart);
    if (key === `"${name}"` || (key.includes('\\') && JSON.parse(key) === name)) {
      found = text.slice(valueStart, valueEnd);
    }
    at = skipSpace(text, valueEnd);
    if (text[at] === ',') at = skipSpace(text, at + 1);
  }
  return found;
}

function skipSpace(text: string, from: number): number {
  let at = from;
  while (at < text.length && text.charCodeAt(at) <= 0x20) at++;
  return at;
}

/** The index after the string that starts at `from`. */
function skipString(text: string, from: number): number {
  let at = from + 1;
  while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at + 1;
}

function skipValue(text: string, from: number): number {
  let depth = 0;
  let at = from;
  do {
    const character = text[at];
    if (character === '"') {
      at = skipString(text, at);
      continue;
    }
    if (character === '{' || character === '[') depth++;
    else if (character === '}' || character === ']') depth--;
    at++;
    // Numbers, true, false and null end before what cannot belong to them.
    if (depth === 0 && character !== '}' && character !== ']') {
      while (at < text.length && /[^\s,}\]]/.test(text[at] ?? '')) at++;
    }
  } while (depth > 0 && at < text.length);
  return at;
}
