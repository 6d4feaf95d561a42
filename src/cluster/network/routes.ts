import { readFileSync } from 'node:fs';
import type { Route } from './plan.ts';

/** The machine's routes; those to all the world are left out. */
export function readRoutes(): Route[] {
  return parseRoutes(readFileSync('/proc/net/route', 'utf8')).filter(({ range }) => range.prefix > 0);
}

/** The interface through which the machine reaches the world; undefined when it does not. */
export function uplink(): string | undefined {
  return parseRoutes(readFileSync('/proc/net/route', 'utf8')).find(({ range }) => range.prefix === 0)?.through;
}

/** The kernel's table: an interface, then numbers in hexadecimal whose bytes stand in the machine's order. */
export function parseRoutes(table: string): Route[] {
  return table
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [through, destination, , , , , , mask] = line.trim().split(/\s+/);
      if (through === undefined || destination === undefined || mask === undefined) return [];
      const prefix = fromHost(mask).toString(2).replaceAll('0', '').length;
      return [{ range: { first: fromHost(destination), prefix }, through }];
    });
}

/** Of little-endian machines; Node runs on next to no others. */
function fromHost(hexadecimal: string): number {
  const bytes = Buffer.from(hexadecimal.padStart(8, '0'), 'hex');
  return isLittleEndian ? bytes.readUInt32LE() : bytes.readUInt32BE();
}

const isLittleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
