import { accessSync, chmodSync, constants, existsSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { makeFolder, replaceFile } from '../lib/durable.ts';
import { commonErrors, isDiskFull, KittiwakeError, messageOf } from '../lib/errors.ts';
import { processOf } from '../lib/processes.ts';
import { removeAddresses } from './addresses.ts';
import { dataDirErrors } from './errors.ts';
import { holderOf, pidFileOf } from './holder.ts';
import { readOwnFile } from './own-file.ts';

/** The layout of the data folder that this version writes; a folder with a higher one is not touched. */
const formatVersion = 1;

/**
 * Creates the data folder when there is none, checks that this version can read it, and takes it for this process.
 * The lock is SQLite's exclusive file lock, which the system releases when the process dies, however it dies.
 * Throws DATA_DIR_FOREIGN, DATA_DIR_TOO_NEW, DATA_DIR_IN_USE, DATA_DIR_LOCKED or DISK_FULL.
 */
export function openDataDir(dataDir: string): { release(): void } {
  try {
    return open(dataDir);
  } catch (error) {
    throw inWords(dataDir, error);
  }
}

/** DISK_FULL for whatever says so; else the error itself. */
export function inWords(dataDir: string, error: unknown): unknown {
  return isDiskFull(error) ? commonErrors.DISK_FULL({ path: dataDir }, { cause: error }) : error;
}

function open(dataDir: string): { release(): void } {
  makeDataDir(dataDir);
  checkFormat(dataDir);
  chmodSync(dataDir, 0o700); // It holds private keys and everybody's secrets.
  makeDataDir(dataDir, ['run', 'logs']);
  return lock(dataDir);
}

/** The data folder, and those in it that are named, made where they are missing. Throws why it cannot be used. */
export function makeDataDir(dataDir: string, folders: readonly string[] = []): void {
  try {
    makeFolder(dataDir);
    accessSync(dataDir, constants.W_OK);
    checkOwn(dataDir);
    for (const folder of folders) makeFolder(join(dataDir, folder));
  } catch (error) {
    throw isDiskFull(error) || error instanceof KittiwakeError ? error : unusable(dataDir, error);
  }
}

/** What a start makes in the data folder, and what systems put into a new one by themselves. */
const ownNames = new Set(['broker', 'build', 'cluster', 'kubeconfig', 'logs', 'node', 'pki', 'quarantine', 'registry']);
for (const name of ['network', 'run', 'version', 'lost+found', '.DS_Store']) ownNames.add(name);

/** Somebody's home or project is not made a data folder: it would be closed to others, and parts of it removed. */
function checkOwn(dataDir: string): void {
  const names = readdirSync(dataDir);
  if (names.includes('version')) return;
  const name = names.find((each) => !ownNames.has(each) && !each.endsWith('.tmp'));
  if (name !== undefined) throw dataDirErrors.DATA_DIR_FOREIGN({ dataDir, name });
}

function unusable(dataDir: string, cause: unknown): Error {
  const isFolder = !existsSync(dataDir) || statSync(dataDir).isDirectory(); // One that cannot be looked at may be one.
  const mend = isFolder ? 'make it writable' : 'it is no folder: move it away';
  const remedy = `${mend}, or choose another with --data-dir`;
  return new Error(`the data folder ${dataDir} cannot be used: ${messageOf(cause)}: ${remedy}`, { cause });
}

function checkFormat(dataDir: string): void {
  const file = join(dataDir, 'version');
  const found = readOwnFile(file)?.trim();
  if (found === undefined) replaceFile(file, `${formatVersion}\n`);
  else if (!(Number(found) <= formatVersion)) {
    throw dataDirErrors.DATA_DIR_TOO_NEW({ dataDir, found: found.slice(0, 40), known: formatVersion });
  }
}

const lockFileOf = (dataDir: string) => join(dataDir, 'run', 'lock.db');

function lock(dataDir: string): { release(): void } {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(lockFileOf(dataDir));
    database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
  } catch (error) {
    database?.close();
    if (!isLockedError(error)) throw isDiskFull(error) ? error : unusable(lockFileOf(dataDir), error);
    throw inUse(dataDir, error);
  }
  const held = database;
  removeAddresses(dataDir); // Of a platform that was killed.
  const { pid, startedAt } = processOf(process.pid) ?? { pid: process.pid, startedAt: '' };
  writeFileSync(pidFileOf(dataDir), `${pid} ${startedAt}\n`);
  return {
    release() {
      rmSync(pidFileOf(dataDir), { force: true });
      held.close();
    },
  };
}

const isLockedError = (error: unknown) => /database is locked/.test(String(error));

/** Somebody has the lock: the platform that the pid file names, or a program that is none. */
function inUse(dataDir: string, cause?: unknown): KittiwakeError {
  const holder = holderOf(dataDir);
  const lockFile = lockFileOf(dataDir);
  if (!holder) return dataDirErrors.DATA_DIR_LOCKED({ dataDir, lockFile }, { cause });
  const state = holder.isStopped ? `, which is stopped ('kill -CONT ${holder.pid}' lets it go on)` : '';
  return dataDirErrors.DATA_DIR_IN_USE({ dataDir, pid: `${holder.pid}${state}` }, { cause });
}

/** Throws DATA_DIR_IN_USE when a platform runs on the folder, DATA_DIR_LOCKED when another program has its lock. */
export function checkNotHeld(dataDir: string): void {
  if (holderOf(dataDir)) throw inUse(dataDir);
  if (!statSync(lockFileOf(dataDir), { throwIfNoEntry: false })?.isFile()) return;
  const database = new DatabaseSync(lockFileOf(dataDir), { readOnly: true });
  try {
    database.exec('SELECT count(*) FROM sqlite_master');
  } catch (error) {
    if (isLockedError(error)) throw inUse(dataDir, error);
    // It is no database: nobody can have locked it, and the next start says what is wrong with it.
  } finally {
    database.close();
  }
}
