import type { Note } from './notes.ts';

/** What a disk shows, once the real component has opened it. */
export interface Found {
  /** By key, as in the notes. */
  states: Map<string, string>;
  floors?: Map<string, number>;
  kept?: Map<string, string>;
  /** What is broken whatever was promised: half a file, a page that fails its check. */
  broken: string[];
}

/**
 * What was promised up to a moment: for each key the last state that was acknowledged, and those that were tried since.
 * A disk may show any of these and no other.
 */
export class Ledger {
  readonly #floors = new Map<string, number>();
  readonly #kept = new Map<string, string>();
  readonly #keys = new Map<string, { acknowledged: string | null; tried: (string | null)[] }>();

  constructor(notes: readonly Note[] = []) {
    for (const note of notes) this.add(note);
  }

  add(note: Note): void {
    if ('tried' in note) {
      const state = this.#keys.get(note.tried);
      if (state) state.tried.push(note.value);
      else this.#keys.set(note.tried, { acknowledged: null, tried: [note.value] });
    } else if ('floor' in note) {
      this.#floors.set(note.floor, Math.max(note.value, this.#floors.get(note.floor) ?? 0));
    } else if ('kept' in note) this.#kept.set(note.kept, note.value);
    else this.#keys.set(note.done, { acknowledged: note.value, tried: [] });
  }

  /** What is wrong with a disk that shows `found`, in words; nothing when all is well. */
  compare(found: Found): string[] {
    const wrong = [...found.broken];
    for (const [key, { acknowledged, tried }] of this.#keys) {
      const state = found.states.get(key) ?? null;
      if (state === acknowledged || tried.includes(state)) continue;
      const since = tried.length === 0 ? '' : `, then tried ${tried.map(stateText).join(', ')}`;
      wrong.push(`${key}: acknowledged ${stateText(acknowledged)}${since}; the disk has ${stateText(state)}`);
    }
    for (const key of found.states.keys()) if (!this.#keys.has(key)) wrong.push(`${key}: nobody wrote it`);
    for (const [name, given] of this.#floors) {
      const next = found.floors?.get(name) ?? 0;
      if (next < given) wrong.push(`${name}: ${given} was given out; the disk goes on from ${next}`);
    }
    for (const [name, value] of this.#kept) {
      const state = found.kept?.get(name) ?? null;
      if (state !== value) wrong.push(`${name}: others have ${stateText(value)}; the disk has ${stateText(state)}`);
    }
    return wrong;
  }
}

const stateText = (state: string | null) => (state === null ? 'nothing' : JSON.stringify(state.slice(0, 80)));
