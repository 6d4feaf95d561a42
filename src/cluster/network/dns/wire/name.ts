/** A name by its labels, the root being none. A byte is a character, as labels may hold any. */
export type Name = readonly string[];

export class MalformedError extends Error {}

const labelBytesMax = 63;
const nameBytesMax = 255;
/** More would be a circle, or made to cost time: no name has so many labels. */
const jumpsMax = 32;

/** `a.b` or `a.b.`; only for names that have no dots in their labels. */
export const nameOf = (text: string): Name => text.split('.').filter((label) => label !== '');

/** As it is compared: names that differ in the case of ASCII letters are one (RFC 4343). */
export const folded = (name: Name): Name => name.map(foldedLabel);

const foldedLabel = (label: string): string =>
  /[A-Z]/.test(label) ? label.replace(/[A-Z]+/g, (part) => part.toLowerCase()) : label;

/** By which names are found in maps; a dot in a label is no dot between two. */
export const keyOf = (name: Name): string =>
  folded(name)
    .map((label) => (/[.\\]/.test(label) ? label.replace(/[.\\]/g, (c) => `\\${c}`) : label))
    .join('.');

export function isName(name: Name): boolean {
  const isLabel = (label: string) => label.length > 0 && label.length <= labelBytesMax;
  return name.every(isLabel) && name.reduce((sum, label) => sum + label.length + 1, 1) <= nameBytesMax;
}

/** The name at `at`, and where what follows begins. Throws MalformedError. */
export function readName(message: Buffer, at: number, mayPoint = true): { name: Name; end: number } {
  const name: string[] = [];
  let bytes = 1;
  let end: number | undefined;
  for (let position = at, jumps = 0; ; ) {
    const length = message[position];
    if (length === undefined) throw new MalformedError('a name goes on beyond the message');
    if (length === 0) return { name, end: end ?? position + 1 };
    if (length >= 0xc0) {
      const low = message[position + 1];
      if (low === undefined || !mayPoint) throw new MalformedError('a name points where it may not');
      const target = ((length & 0x3f) << 8) | low;
      end ??= position + 2;
      // Only back: so it comes to an end.
      if (target >= position || ++jumps > jumpsMax) throw new MalformedError('a name points in a circle');
      position = target;
      continue;
    }
    if (length > labelBytesMax) throw new MalformedError('a label is of an unknown kind');
    const next = position + 1 + length;
    if (next > message.length) throw new MalformedError('a label goes on beyond the message');
    bytes += length + 1;
    if (bytes > nameBytesMax) throw new MalformedError('a name is too long');
    name.push(message.toString('latin1', position + 1, next));
    position = next;
  }
}
