import { createHash } from 'node:crypto';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { makeFolder } from '../lib/durable.ts';
import { readJsonFile, writeJsonFile } from '../lib/json-file.ts';
import { type RoleName, roleNames } from './roles.ts';

/** One piece of work that ended its role's process twice, and is left alone since. */
export interface SetAside {
  role: RoleName;
  /** As the role names it: `revision default/a`. */
  name: string;
  /** How the process ended. */
  reason: string;
  /** How often it ended the process. */
  times: number;
  /** RFC 3339. */
  since: string;
}

/** `<data>/quarantine/ROLE/HASH.json`: a file an entry, so that releasing one is removing its file. */
const folderOf = (dataDir: string, role: RoleName) => join(dataDir, 'quarantine', role);
const fileOf = (dataDir: string, role: RoleName, name: string) =>
  join(folderOf(dataDir, role), `${createHash('sha256').update(name).digest('hex').slice(0, 32)}.json`);

export function setAside(dataDir: string, entry: SetAside): void {
  makeFolder(folderOf(dataDir, entry.role));
  writeJsonFile(fileOf(dataDir, entry.role, entry.name), entry, { mode: 0o600 });
}

/** What is set aside, the oldest first; of one role, or of all. A file that cannot be read as an entry is none. */
export function listSetAside(dataDir: string, role?: RoleName): SetAside[] {
  const roles = role === undefined ? roleNames : [role];
  return roles
    .flatMap((each) => filesIn(folderOf(dataDir, each)).flatMap((file) => entryOf(file) ?? []))
    .toSorted((a, b) => (a.since < b.since ? -1 : 1));
}

/** Gives one piece of work back; the role that runs hears of it at once. False when it is not set aside. */
export function release(dataDir: string, role: RoleName, name: string): boolean {
  const found = listSetAside(dataDir, role).some((entry) => entry.name === name);
  rmSync(fileOf(dataDir, role, name), { force: true });
  return found;
}

function filesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((name) => name.endsWith('.json'))
      .map((name) => join(folder, name));
  } catch {
    return []; // Nothing was ever set aside for this role.
  }
}

function entryOf(file: string): SetAside | undefined {
  const entry = readJsonFile(file) as Partial<SetAside> | null | undefined;
  if (typeof entry?.name !== 'string' || typeof entry.role !== 'string') return undefined;
  const { role, name, reason, times, since } = entry;
  // What stands in it besides may be damaged: it is set aside all the same.
  return { role, name, reason: `${reason ?? ''}`, times: Number(times) || 2, since: `${since ?? ''}` };
}
