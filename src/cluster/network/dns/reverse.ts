/** Addresses, and the names under which they are looked up (RFC 1035, 3.5, and RFC 3596). */
import { isIPv4, isIPv6 } from 'node:net';
import type { Name } from './wire/name.ts';

const v4Zone = ['in-addr', 'arpa'];
const v6Zone = ['ip6', 'arpa'];

/** The address whose reverse name this is; undefined when it is none, or only the beginning of one. */
export function addressOfReverse(name: Name): string | undefined {
  const zone = name.slice(-2).join('.');
  const labels = name.slice(0, -2).reverse();
  if (zone === v4Zone.join('.')) {
    const address = labels.join('.');
    return labels.length === 4 && isIPv4(address) ? address : undefined;
  }
  if (zone !== v6Zone.join('.') || labels.length !== 32 || !labels.every((nibble) => /^[0-9a-f]$/.test(nibble))) {
    return undefined;
  }
  return canonicalAddress(labels.join('').replace(/.{4}(?!$)/g, '$&:'));
}

/** Addresses that are one are written in one way; undefined when it is none. */
export function canonicalAddress(text: string): string | undefined {
  if (isIPv4(text)) return text;
  if (!isIPv6(text) || text.includes('%')) return undefined;
  return new URL(`http://[${text}]/`).hostname.slice(1, -1);
}

/** The address that `a-b-c-d`, or one of version 6 in the same way, stands for. */
export function addressOfDashed(text: string): string | undefined {
  return canonicalAddress(text.replaceAll('-', '.')) ?? canonicalAddress(text.replaceAll('-', ':'));
}
