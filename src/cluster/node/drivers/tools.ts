import { execFile } from 'node:child_process';
import { systemPath } from '../../../lib/system-programs.ts';

/** Plain words, and mount(2) as a whole: by parts it takes no options of more than 256 characters (libmount 2.39). */
export const toolEnvironment: Readonly<Record<string, string>> = {
  PATH: systemPath(),
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
