import { accessSync, chmodSync, constants, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { KittiwakeError, messageOf } from '../lib/errors.ts';

/** The layout of the data folder that this version writes; a folder with a higher one is not touched. */
const formatVersion = 1;

/**
 * Creates the data folder when there is none, checks that this version can read it, and takes it for this process.
 * The lock is SQLite's exclusive file lock, which the system releases when the process dies, however it dies.
 * Throws DATA_DIR_TOO_NEW, DATA_DIR_IN_USE or DISK_FULL.
 */
export function openDataDir(dataDir: string): { release(): void } {
  try {
    return open(dataDir);
  } catch (error) {
    const isFull = (error as NodeJS.ErrnoException).code === 'ENOSPC' || /database or disk is full/.test(String(error));
    throw isFull ? new KittiwakeError('DISK_FULL', { path: dataDir }, { cause: error }) : error;
  }
}

function open(dataDir: string): { release(): void } {
  try {
    mkdirSync(dataDir, { recursive: true });
    accessSync(dataDir, constants.W_OK);
  } catch (error) {
    throw unusable(dataDir, error);
  }
  checkFormat(dataDir);
  chmodSync(dataDir, 0o700); // It holds private keys and everybody's secrets.
  for (const folder of ['run', 'logs']) mkdirSync(join(dataDir, folder), { recursive: true });
  return lock(dataDir);
}

/** What to say of a data folder that cannot be created or written. */
export function unusable(dataDir: string, cause: unknown): Error {
  const remedy = 'make it writable, or choose another with --data-dir';
  return new Error(`the data folder ${dataDir} cannot be used: ${messageOf(cause)}: ${remedy}`, { cause });
}

function checkFormat(dataDir: string): void {
  const file = join(dataDir, 'version');
  if (!existsSync(file)) {
    writeFileSync(file, `${formatVersion}\n`);
    return;
  }
  const found = readFileSync(file, 'utf8').trim();
  if (!(Number(found) <= formatVersion))
    throw new KittiwakeError('DATA_DIR_TOO_NEW', { dataDir, found, known: formatVersion });
}

function lock(dataDir: string): { release(): void } {
  const pidFile = join(dataDir, 'run', 'pid');
  const database = new DatabaseSync(join(dataDir, 'run', 'lock.db'));
  try {
    database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    if (!String(error).includes('locked')) throw error;
    throw new KittiwakeError('DATA_DIR_IN_USE', { dataDir, pid: runningPid(dataDir) ?? 'unknown' }, { cause: error });
  }
  writeFileSync(pidFile, `${process.pid}\n`);
  return {
    release() {
      rmSync(pidFile, { force: true });
      database.close();
    },
  };
}

/** The process that holds the data folder, as far as its pid file says and the system knows it. */
export function runningPid(dataDir: string): number | undefined {
  try {
    const pid = Number(readFileSync(join(dataDir, 'run', 'pid'), 'utf8'));
    process.kill(pid, 0);
    return pid;
  } catch {
    return undefined; // No pid file, or no such process: nothing runs.
  }
}
