/** What the caches of builds need: small files that a crash may damage, and bounds. */
import { lstat, mkdir, readdir, readFile, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { replaceFileAsync } from '../lib/durable.ts';

/** The value in a file of ours; undefined when there is none, or when it was cut short by a crash. */
export async function readJson<T>(path: string): Promise<T | undefined> {
  const text = await readFile(path, 'utf8').catch(() => undefined /* never written */);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as T;
  } catch {
    return undefined; // A cache: what cannot be read is made again.
  }
}

/** Removes all but the `max` files of a folder of ours that were written last. */
export async function keepNewest(folder: string, max: number): Promise<void> {
  const names = await readdir(folder).catch(() => [] /* nothing was ever written */);
  if (names.length <= max) return;
  const files = await Promise.all(
    names.map(async (name) => ({ path: join(folder, name), writtenMs: (await stat(join(folder, name))).mtimeMs })),
  );
  files.sort((a, b) => b.writtenMs - a.writtenMs);
  for (const { path } of files.slice(max)) await rm(path, { force: true });
}

/** The entries of a folder that are too much: those changed longest ago, so that the rest has at most `maxBytes`. */
export async function beyond(folder: string, maxBytes: number): Promise<string[]> {
  const entries: { path: string; changedMs: number; bytes: number }[] = [];
  for (const name of await readdir(folder).catch(() => [] /* nothing was ever written */)) {
    const path = join(folder, name);
    entries.push({ path, changedMs: (await lstat(path)).mtimeMs, bytes: await bytesIn(path) });
  }
  entries.sort((a, b) => b.changedMs - a.changedMs);
  let keptBytes = 0;
  return entries
    .filter(({ bytes }) => {
      keptBytes += bytes;
      return keptBytes > maxBytes;
    })
    .map(({ path }) => path);
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

/** Writes a file of ours whole or not at all. */
export async function writeJson(path: string, value: unknown): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await replaceFileAsync(path, JSON.stringify(value), { mustLast: false });
}
