import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';

const searched = [...(process.env.PATH ?? '').split(':'), '/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin', '/bin'];

/** Where the programs of the system are; not the user's own `PATH` alone, which may not have those for root. */
export const toolsPath = [...new Set(searched.filter((folder) => folder.startsWith('/')))].join(':');

/** The path of a program of the system; undefined when there is none. */
export function findTool(name: string): string | undefined {
  for (const folder of toolsPath.split(':')) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not in this one.
    }
  }
  return undefined;
}

/** Plain words, and mount(2) as a whole: by parts it takes no options of more than 256 characters (libmount 2.39). */
export const toolEnvironment: Readonly<Record<string, string>> = {
  PATH: toolsPath,
  LC_ALL: 'C',
  SHELL: '/bin/sh',
  LIBMOUNT_FORCE_MOUNT2: 'always',
};

const limitMs = 30_000;
const outputMaxBytes = 2 ** 20;

/** Runs a program of the system to its end; rejects with what it said when it fails. */
export function runTool(name: string, args: readonly string[], signal?: AbortSignal): Promise<string> {
  const options = { env: toolEnvironment, timeout: limitMs, killSignal: 'SIGKILL' as const, maxBuffer: outputMaxBytes };
  return new Promise((resolve, reject) => {
    execFile(name, args, signal ? { ...options, signal } : options, (error, stdout, stderr) => {
      if (!error) resolve(stdout);
      else if (signal?.aborted) reject(signal.reason);
      else reject(new Error(`${name}: ${stderr.trim().slice(0, 500) || error.message}`, { cause: error }));
    });
  });
}
