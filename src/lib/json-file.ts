import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { type ReplaceOptions, replaceFile, replaceFileAsync } from './durable.ts';

/**
 * The value in a file of ours, of whatever shape: who reads it looks. Undefined when there is none: it was never
 * written, is gone, or is no JSON, as after a crash of the machine when it did not have to last.
 */
export function readJsonFile(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}

/** As `readJsonFile`, on libuv's pool. */
export async function readJsonFileAsync(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, 'utf8'));
  } catch {
    return undefined;
  }
}

/** Replaces the file as a whole (`replaceFile`), with a text that people can read, too. */
export function writeJsonFile(path: string, value: unknown, options?: ReplaceOptions): void {
  replaceFile(path, textOf(value), options);
}

/** As `writeJsonFile`, on libuv's pool. */
export async function writeJsonFileAsync(path: string, value: unknown, options?: ReplaceOptions): Promise<void> {
  await replaceFileAsync(path, textOf(value), options);
}

const textOf = (value: unknown) => `${JSON.stringify(value, undefined, 2)}\n`;
