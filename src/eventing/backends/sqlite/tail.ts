import type { Offset, StoredEvent } from './stored-event.ts';

const countMax = 4096;
const bytesMax = 4 * 1024 * 1024;

/** The newest events of a log, in memory, without gaps: what a consumer that keeps up reads. */
export class Tail {
  #events: StoredEvent[] = [];
  #bytes = 0;

  /** The events from `from` on, up to `limit`, or undefined when they are older than what is kept here. */
  read(from: Offset, limit: number): StoredEvent[] | undefined {
    const first = this.#events[0]?.offset;
    if (first === undefined || from < first) return undefined;
    return this.#events.slice(from - first, from - first + limit);
  }

  push(events: readonly StoredEvent[]): void {
    for (const event of events) {
      this.#events.push(event);
      this.#bytes += event.sizeBytes;
    }
    let dropped = 0;
    while (this.#events.length - dropped > countMax || this.#bytes > bytesMax) {
      this.#bytes -= this.#events[dropped++]?.sizeBytes ?? 0;
    }
    this.#events.splice(0, dropped);
  }

  /** Forgets the events before `offset`. */
  dropBefore(offset: Offset): void {
    const first = this.#events[0]?.offset ?? offset;
    for (const event of this.#events.splice(0, offset - first)) this.#bytes -= event.sizeBytes;
  }
}
