import { ipv4Block, ipv4Text } from '../../lib/ipv4.ts';

/** A range of IPv4 addresses: `10.244.0.0/16`. */
export interface Cidr {
  /** Its first address as a number. */
  first: number;
  prefix: number;
}

/** Undefined for what is none, or has bits set beyond its prefix. */
export function parseCidr(text: string): Cidr | undefined {
  const block = ipv4Block(text);
  return block && { first: block.base, prefix: 32 - Math.log2(block.size) };
}

export const cidrText = ({ first, prefix }: Cidr): string => `${ipv4Text(first)}/${prefix}`;

export const sizeOf = ({ prefix }: Pick<Cidr, 'prefix'>): number => 2 ** (32 - prefix);

export const contains = (range: Cidr, address: number): boolean =>
  address >= range.first && address < range.first + sizeOf(range);

export const overlap = (a: Cidr, b: Cidr): boolean => contains(a, b.first) || contains(b, a.first);

/** The parts of `range` with that prefix, in order. */
export function* partsOf(range: Cidr, prefix: number): Generator<Cidr> {
  for (let first = range.first; first < range.first + sizeOf(range); first += sizeOf({ prefix })) {
    yield { first, prefix };
  }
}
