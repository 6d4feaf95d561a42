/** What a workload says: what it is about to do, and what it was promised. Each line is a note in the journal. */
import { openSync, writeSync } from 'node:fs';

export type Note =
  /** A change of `key` to `value` (null: removed) begins; until it is acknowledged, both states are right. */
  | { tried: string; value: string | null }
  /** The change was acknowledged: from here on, no older state is right. */
  | { done: string; value: string | null }
  /** A number that was given out, and from which what is numbered must go on. */
  | { floor: string; value: number }
  /** A value of which others hold copies now: it may be made anew no more. */
  | { kept: string; value: string };

const path = process.env.POWER_LOSS_NOTES;
const file = path === undefined ? undefined : openSync(path, 'a');

export function note(line: Note): void {
  if (file !== undefined) writeSync(file, `${JSON.stringify(line)}\n`);
}

/** Runs the change, with a note before it and one when it was acknowledged. */
export async function promised<T>(key: string, value: string | null, change: () => Promise<T>): Promise<T> {
  note({ tried: key, value });
  const result = await change();
  note({ done: key, value });
  return result;
}
