import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { writeJsonFileAsync } from '../lib/json-file.ts';

/** Remembers a value in a file of ours, for `readJsonFileAsync`; a crash of the machine may take it. */
export async function remember(path: string, value: unknown): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeJsonFileAsync(path, value, { mustLast: false });
}
