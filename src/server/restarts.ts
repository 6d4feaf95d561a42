import { join } from 'node:path';
import { readJsonFile, writeJsonFile } from '../lib/json-file.ts';
import type { RoleName } from './roles.ts';

/** One time that a role's process ended by itself, or was ended because it did not answer. */
export interface Restart {
  role: RoleName;
  /** RFC 3339. */
  at: string;
  /** How the process ended, and its last error where there was one. */
  why: string;
  /** Some of what it was at, when its end was its own doing. */
  underWay: string[];
}

const keptCountMax = 50;
const fileOf = (dataDir: string) => join(dataDir, 'run', 'restarts.json');

/** Remembers a restart, for `kittiwake status`; the newest are kept. */
export function recordRestart(dataDir: string, restart: Restart): void {
  const kept = [...listRestarts(dataDir), restart].slice(-keptCountMax);
  writeJsonFile(fileOf(dataDir), kept, { mode: 0o600 });
}

/** The last restarts, the newest last. */
export function listRestarts(dataDir: string): Restart[] {
  const found = readJsonFile(fileOf(dataDir));
  return Array.isArray(found) ? found.filter(isRestart) : [];
}

function isRestart(value: unknown): value is Restart {
  const { role, at, why, underWay } = (value ?? {}) as Partial<Restart>;
  const areTexts = (texts: unknown[]) => texts.every((text) => typeof text === 'string');
  return areTexts([role, at, why]) && Array.isArray(underWay) && areTexts(underWay);
}
