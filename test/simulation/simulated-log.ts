import type { Consumer, EventLog, NewEvent, Subscription } from '../../src/eventing/backends/event-log.ts';
import { LogCursor } from '../../src/eventing/backends/sqlite/log-cursor.ts';
import { Progress } from '../../src/eventing/backends/sqlite/progress.ts';
import { SqliteSubscription } from '../../src/eventing/backends/sqlite/sqlite-subscription.ts';
import type { Offset, StoredEvent } from '../../src/eventing/backends/sqlite/stored-event.ts';
import type { Simulation } from './simulation.ts';

/** What a disk keeps of one broker's log over a crash. */
export interface SimulatedDisk {
  events: StoredEvent[];
  cursors: Map<string, { owner: string; position: Offset; ranges: string }>;
}

export const emptyDisk = (): SimulatedDisk => ({ events: [], cursors: new Map() });

const flushMs = { min: 1, max: 40 };

/**
 * An event log on a disk that takes its time and fails: an append is acknowledged once it is on the disk, cursors get
 * there a moment later, and whoever crashes keeps what the disk has. (The real log's own suite is the power-loss one.)
 */
export class SimulatedLog implements EventLog {
  readonly #simulation: Simulation;
  readonly #disk: SimulatedDisk;
  readonly #listeners = new Set<() => void>();
  #writes: Promise<unknown> = Promise.resolve();
  #isCrashed = false;

  constructor(simulation: Simulation, disk: SimulatedDisk) {
    this.#simulation = simulation;
    this.#disk = disk;
  }

  get end(): Offset {
    return this.#disk.events.length + 1;
  }

  readonly owner = undefined;

  async adopt(): Promise<void> {}

  append(event: NewEvent): Promise<Offset> {
    return this.#flushed(() => {
      if (this.#simulation.fault(0.05)) throw new Error('the disk refuses the append');
      const arrivedAt = this.#simulation.clock.now();
      this.#disk.events.push({ ...event, offset: this.end, arrivedAt, sizeBytes: 100 });
      return this.end - 1;
    }).finally(() => {
      if (!this.#isCrashed) for (const listener of this.#listeners) listener();
    });
  }

  async read(from: Offset, limit: number): Promise<readonly StoredEvent[]> {
    if (this.#isCrashed) return new Promise<never>(() => {});
    if (this.#simulation.fault(0.02)) throw new Error('the disk cannot be read');
    return this.#disk.events.slice(from - 1, from - 1 + limit);
  }

  async subscribe(consumer: string, owner: string): Promise<Subscription> {
    const { position, ranges } = this.#disk.cursors.get(consumer) ?? { position: this.end, ranges: '' };
    await this.#flushed(() => this.#disk.cursors.set(consumer, { owner, position, ranges }));
    const row = { consumer, owner, progress: Progress.parse(position, ranges) };
    const cursor = new LogCursor(row, () => this.#save(cursor));
    return new SqliteSubscription(this, cursor, this.#simulation.clock);
  }

  async consumers(): Promise<readonly Consumer[]> {
    return [...this.#disk.cursors].map(([name, { owner }]) => ({ name, owner }));
  }

  async forget(consumer: string): Promise<void> {
    this.#disk.cursors.delete(consumer);
  }

  onAppend(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    await this.#writes;
  }

  /** From now on nothing reaches the disk, and nobody is told anything. */
  crash(): void {
    this.#isCrashed = true;
    this.#listeners.clear();
  }

  #save(cursor: LogCursor): void {
    this.#flushed(() => {
      const { owner, progress } = cursor;
      const { position, ranges } = progress;
      this.#disk.cursors.set(cursor.consumer, { owner, position, ranges });
    }).catch((error) => this.#simulation.note(`cursor lost: ${error}`));
  }

  /** One write after the other, each when the disk has it; never, once crashed. */
  #flushed<T>(write: () => T): Promise<T> {
    const result = this.#writes.then(async () => {
      await this.#simulation.sleep(this.#simulation.random.between(flushMs.min, flushMs.max));
      if (this.#isCrashed) return new Promise<never>(() => {});
      return write();
    });
    this.#writes = result.catch(() => {}); // Whoever wrote is told; the next write does not depend on it.
    return result;
  }
}
