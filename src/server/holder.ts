import { join } from 'node:path';
import { processOf, type Running } from '../lib/processes.ts';
import { readOwnFile } from './own-file.ts';

/** `PID START`, written by who has the data folder's lock. */
export const pidFileOf = (dataDir: string) => join(dataDir, 'run', 'pid');

/**
 * The platform that holds the data folder: the process of its pid file, unless that has died, be it that a zombie is
 * left of it, or that its number is another's by now.
 */
export function holderOf(dataDir: string): Running | undefined {
  const [, pid, startedAt] = /^(\d{1,10})(?: (\S*))?\s*$/.exec(readOwnFile(pidFileOf(dataDir)) ?? '') ?? [];
  const found = pid === undefined ? undefined : processOf(Number(pid));
  return found && (!startedAt || found.startedAt === startedAt) ? found : undefined;
}
