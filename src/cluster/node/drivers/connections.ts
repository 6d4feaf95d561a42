import { readFile } from 'node:fs/promises';
import { type Clock, sleep } from '../../../lib/clock.ts';

/** Two readings this far apart must both find nothing: a connection being set up shows in the second. */
const betweenReadingsMs = 50;
/** Where connections cannot be counted (not Linux): long enough for the gateway to have noticed. */
const blindDrainMs = 250;

/** Resolves when `count` finds no connection any more, or when `signal` aborts. */
export async function drained(count: () => Promise<number>, clock: Clock, signal: AbortSignal): Promise<void> {
  const until = (delayMs: number) => sleep(clock, delayMs, signal).catch(() => undefined); // Aborted: the caller looks.
  if (process.platform !== 'linux') return until(blindDrainMs);
  for (let quiet = 0; quiet < 2 && !signal.aborted; ) {
    quiet = (await count()) === 0 ? quiet + 1 : 0;
    if (quiet < 2) await until(betweenReadingsMs);
  }
}

/** How many TCP connections are established to the local ports `ports` (Linux). */
export async function establishedTo(ports: readonly number[]): Promise<number> {
  const tables = await readTables('/proc/net');
  return tables.reduce((sum, table) => sum + countEstablished(table, ports), 0);
}

/**
 * How many are established to ports on which somebody listens, in the network of the process `pid`; without those from
 * its own loopback, which containers of a pod may keep among themselves for good.
 */
export async function establishedIn(pid: number): Promise<number> {
  const tables = await readTables(`/proc/${pid}/net`);
  const ports = tables.flatMap(listeningPorts);
  return tables.reduce((sum, table) => sum + countEstablished(withoutLoopback(table), ports), 0);
}

const readTables = (dir: string) => Promise.all([`${dir}/tcp`, `${dir}/tcp6`].map(readTable));

/** The ports in state LISTEN (0A). */
function listeningPorts(table: string): number[] {
  return [...table.matchAll(/^\s*\d+: [0-9A-F]+:([0-9A-F]{4}) [0-9A-F]+:[0-9A-F]{4} 0A /gm)].map(([, port = '']) =>
    Number.parseInt(port, 16),
  );
}

/** Addresses are in the machine's order of bytes: 127.x.y.z ends in 7F, in IPv6 also when it is mapped. */
export function withoutLoopback(table: string): string {
  const loopback = /^\s*\d+: (0{24}01000000|(0{16}FFFF0000)?[0-9A-F]{6}7F):/;
  return table
    .split('\n')
    .filter((line) => !loopback.test(line))
    .join('\n');
}

/**
 * Counts the lines of a /proc/net/tcp table with one of the local ports in state ESTABLISHED (01), for example
 * `  2: 0100007F:9C40 0100007F:D2F0 01 …`. CLOSE_WAIT (08) counts as well: the answer may still be on its way.
 */
export function countEstablished(table: string, ports: readonly number[]): number {
  const wanted = new Set(ports.map((port) => port.toString(16).toUpperCase().padStart(4, '0')));
  let count = 0;
  for (const [, port, state] of table.matchAll(
    /^\s*\d+: [0-9A-F]+:([0-9A-F]{4}) [0-9A-F]+:[0-9A-F]{4} ([0-9A-F]{2}) /gm,
  )) {
    if (port !== undefined && wanted.has(port) && (state === '01' || state === '08')) count++;
  }
  return count;
}

async function readTable(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch {
    return ''; // No IPv6 on this machine: there is no such table.
  }
}
