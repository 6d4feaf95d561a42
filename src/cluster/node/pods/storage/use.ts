import { execFile } from 'node:child_process';
import { stat } from 'node:fs/promises';

const limitMs = 60_000;

/**
 * What is on the disk below each of these folders, in bytes, with holes left out and links counted once (du). A folder
 * that is not there is left out; what goes while it is being counted counts or does not.
 */
export function bytesBelow(folders: readonly string[], signal: AbortSignal): Promise<Map<string, number>> {
  if (folders.length === 0) return Promise.resolve(new Map());
  const options = { timeout: limitMs, killSignal: 'SIGKILL' as const, maxBuffer: 2 ** 22, signal };
  return new Promise((resolve, reject) => {
    // Its exit code says that something went meanwhile; what it has counted it says all the same.
    execFile('du', ['-s', '-k', '-x', '--', ...folders], options, (error, stdout) => {
      if (error && (signal.aborted || error.killed || error.code === 'ENOENT')) return reject(error);
      const lines = stdout.split('\n').map((line) => /^(\d+)\t(.*)$/.exec(line));
      resolve(new Map(lines.flatMap((line) => (line?.[2] ? [[line[2], Number(line[1]) * 1024]] : []))));
    });
  });
}

/** What one file takes on the disk; nothing when it is not there. */
export async function bytesOf(path: string): Promise<number> {
  const found = await stat(path).catch(() => undefined); // Gone, or not there yet.
  return (found?.blocks ?? 0) * 512;
}
