import { HttpSyntaxError } from './syntax.ts';

const cr = 0x0d;
const lf = 0x0a;

/**
 * The offset just behind the empty line that ends the head which starts at `start`, or -1 when it has not come yet.
 * `from` is how far an earlier call has looked. Throws on a line that ends in a bare LF, as soon as it is seen
 * (RFC 9112 §2.2 allows to accept one; two parsers that disagree on it are a way to smuggle requests).
 */
export function findHeadEnd(bytes: Uint8Array, start: number, from: number): number {
  for (let at = Math.max(start, from); at < bytes.length; at++) {
    if (bytes[at] !== lf) continue;
    if (at === start || bytes[at - 1] !== cr) throw new HttpSyntaxError(400, 'a line ends in LF without CR');
    if (at === start + 1 || bytes[at - 2] === lf) return at + 1;
  }
  return -1;
}
