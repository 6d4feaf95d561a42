/**
 * A name as text: UTF-8, and each byte of what is none as a lone surrogate of its own (U+DC80 to U+DCFF, as Python
 * does), so that no two names become one, and `bytesOf` gives the same bytes again.
 */
export function nameOf(bytes: Buffer): string {
  const text = bytes.toString('utf8');
  if (!text.includes('\ufffd') || Buffer.from(text).equals(bytes)) return text;
  let name = '';
  for (let at = 0; at < bytes.length; ) {
    const length = Math.max(1, [4, 3, 2, 1].find((n) => isCharacter(bytes.subarray(at, at + n), n)) ?? 0);
    const part = bytes.subarray(at, at + length);
    const byte = bytes[at] as number;
    name += length === 1 && byte > 127 ? String.fromCharCode(0xdc00 + byte) : part.toString('utf8');
    at += length;
  }
  return name;
}

function isCharacter(bytes: Buffer, length: number): boolean {
  if (bytes.length !== length) return false;
  const text = bytes.toString('utf8');
  return [...text].length === 1 && Buffer.byteLength(text) === length && Buffer.from(text).equals(bytes);
}

/** The bytes that `nameOf` made the name of. */
export function bytesOf(name: string): Buffer {
  if (name.isWellFormed()) return Buffer.from(name);
  const parts: Buffer[] = [];
  for (const character of name) {
    const code = character.charCodeAt(0);
    const isByte = character.length === 1 && code >= 0xdc80 && code <= 0xdcff;
    parts.push(isByte ? Buffer.from([code - 0xdc00]) : Buffer.from(character));
  }
  return Buffer.concat(parts);
}

/** The path of the name below `root`, for the file system: a text, or bytes where it is none. */
export function pathIn(root: string, name: string): string | Buffer {
  return name.isWellFormed() ? `${root}/${name}` : Buffer.concat([Buffer.from(`${root}/`), bytesOf(name)]);
}
