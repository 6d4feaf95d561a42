import type { Progress } from './progress.ts';
import type { Offset } from './stored-event.ts';

/** A consumer's place as it is written down. */
export interface CursorRow {
  consumer: string;
  owner: string;
  progress: Progress;
}

/** How far one consumer is. The log hears of each change, and writes it down a moment after. */
export class LogCursor {
  readonly consumer: string;
  /** Whose place it is. */
  owner: string;
  readonly progress: Progress;
  readonly #onChange: () => void;

  constructor({ consumer, owner, progress }: CursorRow, onChange: () => void) {
    this.consumer = consumer;
    this.owner = owner;
    this.progress = progress;
    this.#onChange = onChange;
  }

  /** Every event before this one is done. */
  get position(): Offset {
    return this.progress.position;
  }

  isDone(offset: Offset): boolean {
    return this.progress.isDone(offset);
  }

  /** Marks one event as done, in any order. */
  done(offset: Offset): void {
    this.progress.done(offset);
    this.#onChange();
  }

  moveTo(position: Offset): void {
    this.progress.moveTo(position);
    this.#onChange();
  }
}
