import { closeSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { isDiskFull } from '../lib/errors.ts';
import type { WorkBoard } from '../lib/quarantine.ts';

/**
 * More than a role has under way at once, such as 32 deliveries of each of a hundred triggers; what does not fit is not
 * recorded. The file is as long as the most that there was.
 */
export const slotCount = 4096;
/** A mark, the name of up to 160 characters in UTF-8, and spaces to the end. */
const slotBytes = 512;
const mark = { among: '+', suspect: '!', ended: '-' } as const;

/**
 * A file in which a role writes what it is at, before it begins: 1 µs a write, nothing is flushed. The system keeps it
 * whatever ends the process (an exception, no memory, a kill), and the supervisor reads it then. The end of ordinary
 * work is not written: a name that stays behind is suspected once more than needed, and cleared by running well.
 */
export class FileWorkBoard implements WorkBoard {
  readonly #fd: number;
  readonly #free: number[] = Array.from({ length: slotCount }, (_, i) => slotCount - 1 - i);
  readonly #suspects = new Set<number>();
  readonly #line = Buffer.alloc(slotBytes);

  constructor(path: string) {
    this.#fd = openAnew(path);
  }

  begin(name: string, isSuspect: boolean): number {
    const slot = this.#free.at(-1);
    if (slot === undefined || !this.#write(slot, isSuspect ? mark.suspect : mark.among, name)) return -1;
    this.#free.pop();
    if (isSuspect) this.#suspects.add(slot);
    return slot;
  }

  end(slot: number): void {
    if (slot < 0) return;
    this.#free.push(slot);
    if (this.#suspects.delete(slot)) this.#write(slot, mark.ended, '');
  }

  close(): void {
    closeSync(this.#fd);
  }

  /** Whether there was room: work goes on when the disk is full, and is not recorded. */
  #write(slot: number, how: string, name: string): boolean {
    const line = this.#line;
    line.fill(0x20, line.write(how + name));
    line[slotBytes - 1] = 0x0a;
    try {
      writeSync(this.#fd, line, 0, slotBytes, slot * slotBytes);
      return true;
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      return false;
    }
  }
}

/** Whatever else stands there, a folder for example, is nothing that anybody needs. */
function openAnew(path: string): number {
  try {
    return openSync(path, 'w', 0o600);
  } catch {
    rmSync(path, { recursive: true, force: true });
    return openSync(path, 'w', 0o600); // What is wrong with it now is said.
  }
}

export interface UnderWay {
  /** What ran alone because it was suspect. */
  suspects: string[];
  others: string[];
}

/** What a process that has died was at, as far as its board tells. A board that cannot be read tells nothing. */
export function readWorkBoard(path: string): UnderWay {
  const found: UnderWay = { suspects: [], others: [] };
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return found; // The role died before it made one.
  }
  for (const line of text.split('\n')) {
    const name = line.slice(1).trimEnd();
    if (name === '') continue;
    if (line.startsWith(mark.suspect)) found.suspects.push(name);
    else if (line.startsWith(mark.among)) found.others.push(name);
  }
  return { suspects: [...new Set(found.suspects)], others: [...new Set(found.others)] };
}
