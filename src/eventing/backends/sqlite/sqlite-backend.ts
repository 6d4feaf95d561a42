import { existsSync, readdirSync, renameSync, rmdirSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Clock } from '../../../lib/clock.ts';
import { makeFolder, syncFolder } from '../../../lib/durable.ts';
import { commonErrors } from '../../../lib/errors.ts';
import type { LogBackend, LogName, OpenOptions } from '../event-log.ts';
import { type Flush, SqliteFile } from './sqlite-file.ts';
import { type LogLimits, SqliteLog } from './sqlite-log.ts';

export interface SqliteBackendOptions {
  /** Holds a folder for each namespace, and in it a file for each log. */
  dir: string;
  limits?: LogLimits | undefined;
  clock: Clock;
  /** For tests of a disk that fails. */
  fdatasync?: Flush | undefined;
}

export interface SqliteBackend extends LogBackend {
  open(name: LogName, options: OpenOptions): Promise<SqliteLog>;
}

/** Logs in SQLite files, each opened by one process at a time: `DIR/NAMESPACE/NAME.db`. */
export function sqliteBackend({ dir, limits = {}, clock, fdatasync }: SqliteBackendOptions): SqliteBackend {
  const pathOf = ({ namespace, name }: LogName) => join(dir, segment(namespace), `${segment(name)}.db`);
  return {
    async open(name, { log, onFailure }) {
      const path = pathOf(name);
      const [old] = existsSync(path) ? [] : oldFilesOf(dir, name);
      if (old) takeOver(old, path, name);
      const broker = `${name.namespace}/${name.name}`;
      return new SqliteLog({ path, broker, limits, clock, log, onFailure, fdatasync });
    },

    async list() {
      const names = new Map(oldFiles(dir).map(({ name }) => [pathOf(name), name]));
      for (const namespace of foldersOf(dir)) {
        for (const file of namesIn(join(dir, namespace))) {
          const [, name] = /^(.+)\.db(?:-wal|-shm|-journal)?$/.exec(file) ?? [];
          if (name !== undefined) names.set(join(dir, namespace, `${name}.db`), named(namespace, name));
        }
      }
      return [...names.values()];
    },

    async remove(name) {
      const path = pathOf(name);
      for (const each of [path, ...oldFilesOf(dir, name).map((old) => old.path)]) {
        // The write-ahead log goes last: without it, what is left of the file is not what it was.
        for (const end of ['', '-wal', '-shm', '-journal']) rmSync(`${each}${end}`, { force: true });
      }
      removeIfEmpty(dirname(path));
    },
  };
}

/** Names of Kubernetes are safe as they are; whatever else comes is made so. */
const segment = (text: string) => encodeURIComponent(text).replace(/^\./, '%2E');
const named = (namespace: string, name: string): LogName => ({
  namespace: decodeURIComponent(namespace),
  name: decodeURIComponent(name),
});

interface OldFile {
  path: string;
  name: LogName;
  uid: string;
}

/** Files of the first versions: `DIR/NAMESPACE.NAME.UID.db`. The newest of a name comes first. */
function oldFiles(dir: string): OldFile[] {
  const files = namesIn(dir).flatMap((file): OldFile[] => {
    const [whole, namespace = '', name = '', uid = ''] = /^([^.]+)\.(.+)\.([^.]+)\.db$/.exec(file) ?? [];
    if (whole === undefined) return [];
    return [{ path: join(dir, file), name: { namespace, name }, uid }];
  });
  return files.toSorted((a, b) => statSync(b.path).mtimeMs - statSync(a.path).mtimeMs);
}

function oldFilesOf(dir: string, { namespace, name }: LogName): OldFile[] {
  return oldFiles(dir).filter(({ name: found }) => found.namespace === namespace && found.name === name);
}

/** Moves the file to where it belongs now, with its owner in it; whoever is interrupted begins anew. */
function takeOver({ path: old, uid }: OldFile, path: string, { namespace }: LogName): void {
  const file = new SqliteFile(old);
  try {
    file.takeOver(namespace, uid);
  } finally {
    file.close();
  }
  // Closing has moved it all into the file itself, unless the disk had no room for that.
  const wal = `${old}-wal`;
  if (existsSync(wal)) throw commonErrors.DISK_FULL({ path: old });
  makeFolder(dirname(path));
  renameSync(old, path);
  syncFolder(dirname(path));
  syncFolder(dirname(old));
}

const foldersOf = (dir: string) => namesIn(dir).filter((name) => statSync(join(dir, name)).isDirectory());

/** What is in a folder; nothing where there is none, or where something else stands: opening says so. */
function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}

function removeIfEmpty(dir: string): void {
  try {
    rmdirSync(dir);
  } catch {
    // There are other logs in it, or it was never made.
  }
}
