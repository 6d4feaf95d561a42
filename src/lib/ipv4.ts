import { isIPv4 } from 'node:net';

/** A block of addresses, as numbers: `base` up to but without `base + size`. */
export interface Ipv4Block {
  base: number;
  size: number;
}

/** `10.0.0.1` as a number; undefined when it is no IPv4 address. */
export function ipv4Number(text: string): number | undefined {
  if (!isIPv4(text)) return undefined;
  return text.split('.').reduce((number, part) => number * 256 + Number(part), 0);
}

export const ipv4Text = (number: number): string =>
  [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join('.');

/** `10.96.0.0/16` as a block; undefined when it is none, or when its address is not its first. */
export function ipv4Block(cidr: string): Ipv4Block | undefined {
  const [address = '', bits = '', ...rest] = cidr.split('/');
  const base = ipv4Number(address);
  if (base === undefined || rest.length > 0 || !/^(\d|[12]\d|3[0-2])$/.test(bits)) return undefined;
  const size = 2 ** (32 - Number(bits));
  return base % size === 0 ? { base, size } : undefined;
}

export function isInBlock({ base, size }: Ipv4Block, address: string): boolean {
  const number = ipv4Number(address);
  return number !== undefined && number >= base && number < base + size;
}
