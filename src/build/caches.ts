/** What bounds the caches of builds: by number, by bytes, the oldest first. */
import { lstat, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

/** The paths in a folder of ours, the one that was changed last first. */
export async function newestFirst(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => [] /* nothing was ever written */);
  const paths = names.map((name) => join(folder, name));
  const entries = await Promise.all(paths.map(async (path) => ({ path, changedMs: (await lstat(path)).mtimeMs })));
  return entries.sort((a, b) => b.changedMs - a.changedMs).map(({ path }) => path);
}

/** Removes all but the `max` entries of a folder of ours that were changed last. */
export async function keepNewest(folder: string, max: number): Promise<void> {
  await removeAll((await newestFirst(folder)).slice(max));
}

/** The entries of a folder that are too much: those changed longest ago, so that the rest has at most `maxBytes`. */
export async function beyond(folder: string, maxBytes: number): Promise<string[]> {
  const tooMuch: string[] = [];
  let bytes = 0;
  for (const path of await newestFirst(folder)) {
    bytes += await bytesIn(path);
    if (bytes > maxBytes) tooMuch.push(path);
  }
  return tooMuch;
}

/** Removes files and folders; what cannot be removed is left for the next time. */
export async function removeAll(paths: readonly string[]): Promise<void> {
  for (const path of paths) await rm(path, { recursive: true, force: true }).catch(() => {});
}

/** Of a file, or of all in a folder. */
async function bytesIn(path: string): Promise<number> {
  let bytes = 0;
  const pending = [path];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const inner = next;
    const status = await lstat(inner);
    bytes += status.size;
    if (status.isDirectory()) pending.push(...(await readdir(inner)).map((name) => join(inner, name)));
  }
  return bytes;
}
