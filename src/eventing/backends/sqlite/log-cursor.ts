import type { Cursor, Offset } from '../event-log.ts';
import type { Progress } from './progress.ts';

/** A consumer's place in a log; the log hears of each change, to write it down. */
export class LogCursor implements Cursor {
  readonly consumer: string;
  readonly progress: Progress;
  readonly #onChange: () => void;

  constructor(consumer: string, progress: Progress, onChange: () => void) {
    this.consumer = consumer;
    this.progress = progress;
    this.#onChange = onChange;
  }

  get position(): Offset {
    return this.progress.position;
  }

  isDone(offset: Offset): boolean {
    return this.progress.isDone(offset);
  }

  done(offset: Offset): void {
    this.progress.done(offset);
    this.#onChange();
  }

  moveTo(position: Offset): void {
    this.progress.moveTo(position);
    this.#onChange();
  }
}
