import { readFile } from 'node:fs/promises';
import { type Clock, sleep } from '../../../../lib/clock.ts';

/** Two readings this far apart must both find nothing: a connection being set up shows in the second. */
const betweenReadingsMs = 50;
/** Where connections cannot be counted (not Linux): long enough for the gateway to have noticed. */
const blindDrainMs = 250;

/** Resolves when no connection to `ports` of this host is established, or when `signal` aborts. */
export async function drained(ports: readonly number[], clock: Clock, signal: AbortSignal): Promise<void> {
  const until = (delayMs: number) => sleep(clock, delayMs, signal).catch(() => undefined); // Aborted: the caller looks.
  if (ports.length === 0) return;
  if (process.platform !== 'linux') return until(blindDrainMs);
  for (let quiet = 0; quiet < 2 && !signal.aborted; ) {
    quiet = (await establishedConnections(ports)) === 0 ? quiet + 1 : 0;
    if (quiet < 2) await until(betweenReadingsMs);
  }
}

/** How many TCP connections are established to local ports `ports` (Linux). */
async function establishedConnections(ports: readonly number[]): Promise<number> {
  const tables = await Promise.all(['/proc/net/tcp', '/proc/net/tcp6'].map(readTable));
  return tables.reduce((sum, table) => sum + countEstablished(table, ports), 0);
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
