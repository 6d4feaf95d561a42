import { EventEmitter } from 'node:events';
import type { FromWriter, Row, RowChange, ToWriter } from '../../src/cluster/store/protocol.ts';
import type { StoreWriter } from '../../src/cluster/store/store.ts';
import type { Simulation } from './simulation.ts';

/** What the store's disk holds: rows by their ids. */
export interface SimulatedRows {
  rows: Map<number, Row>;
  /** Commits so far, for invariants of rest. */
  commits: number;
}

export const noRows = (): SimulatedRows => ({ rows: new Map(), commits: 0 });

/** The store's writer on virtual time: a commit takes some milliseconds, or is refused as a full disk refuses it. */
export class SimulatedWriter extends EventEmitter implements StoreWriter {
  readonly #simulation: Simulation;
  readonly #disk: SimulatedRows;
  #isCrashed = false;

  constructor(simulation: Simulation, disk: SimulatedRows) {
    super();
    this.#simulation = simulation;
    this.#disk = disk;
    setImmediate(() => {
      this.#say({ type: 'rows', rows: [...disk.rows.values()] });
      this.#say({ type: 'opened', deletions: [], durability: { journalMode: 'wal', synchronous: 2 } });
    });
  }

  postMessage(message: ToWriter): void {
    if (message.type === 'close') setImmediate(() => this.#say({ type: 'closed' }));
    else this.#simulation.clock.after(this.#simulation.random.between(1, 10), () => this.#commit(message.changes));
  }

  async terminate(): Promise<number> {
    return 0;
  }

  /** Nothing that was not committed ever is, and nobody is told anything more. */
  crash(): void {
    this.#isCrashed = true;
  }

  #commit(changes: readonly RowChange[]): void {
    if (this.#isCrashed) return;
    if (this.#simulation.fault(0.01)) {
      this.#say({ type: 'failed', isDiskFull: true, message: 'disk full' });
      return;
    }
    for (const { id, json, ...rest } of changes) {
      if (json === undefined) this.#disk.rows.delete(id);
      else this.#disk.rows.set(id, { id, json, ...rest });
      this.#simulation.note(`commit ${rest.table} ${rest.key} ${json === undefined ? 'deleted' : rest.revision}`);
    }
    this.#disk.commits++;
    this.#say({ type: 'committed' });
  }

  #say(message: FromWriter): void {
    if (!this.#isCrashed) this.emit('message', message);
  }
}
