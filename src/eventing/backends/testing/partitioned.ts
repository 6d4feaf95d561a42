import { setImmediate as turn } from 'node:timers/promises';
import type { Clock } from '../../../lib/clock.ts';
import { eventErrors } from '../../errors.ts';
import type {
  Consumer,
  Delivery,
  EventLog,
  LogBackend,
  LogName,
  NewEvent,
  OpenOptions,
  Subscription,
} from '../event-log.ts';

const partitionCount = 2;
const deadlineMs = 30_000;
/** A consumer is handed no more than it may have and not be done with. */
const takenMax = 100;
const eventBytes = 100;

interface Entry extends Delivery {
  readonly offset: string;
  partition: number;
  position: number;
}

interface KeptConsumer {
  owner: string;
  /** Where it began in each partition. */
  from: number[];
  done: Set<string>;
}

/** What a crash leaves of one log. */
interface KeptLog {
  name: LogName;
  owner?: string;
  partitions: Entry[][];
  ends: number[];
  consumers: Map<string, KeptConsumer>;
}

export type PartitionedDisk = Map<string, KeptLog>;

/**
 * A toy that is as unlike SQLite's as a log may be: two partitions, positions with gaps, acknowledgements one by one
 * that a crash forgets, deadlines, a bound on what is out, answers that take a turn. `disk` is what stays.
 */
export function partitionedBackend(options: { disk: PartitionedDisk; clock: Clock; bytesMax?: number }): LogBackend {
  const { disk } = options;
  const keyOf = ({ namespace, name }: LogName) => `${namespace}/${name}`;
  return {
    async open(name, { log: _ }: OpenOptions) {
      const fresh = { name, partitions: [[], []], ends: [0, 0], consumers: new Map() };
      const kept = disk.get(keyOf(name)) ?? fresh;
      disk.set(keyOf(name), kept);
      return new PartitionedLog(kept, options);
    },
    list: async () => [...disk.values()].map(({ name }) => name),
    async remove(name) {
      disk.delete(keyOf(name));
    },
  };
}

class PartitionedLog implements EventLog {
  readonly kept: KeptLog;
  readonly clock: Clock;
  readonly #bytesMax: number;
  readonly subscriptions = new Set<PartitionedSubscription>();
  #isClosed = false;

  constructor(kept: KeptLog, { clock, bytesMax = 2 ** 30 }: { clock: Clock; bytesMax?: number }) {
    this.kept = kept;
    this.clock = clock;
    this.#bytesMax = bytesMax;
  }

  get owner(): string | undefined {
    return this.kept.owner;
  }

  async adopt(owner: string): Promise<void> {
    this.kept.owner = owner;
  }

  async append(event: NewEvent, { isReply } = { isReply: false }): Promise<void> {
    await turn();
    const broker = `${this.kept.name.namespace}/${this.kept.name.name}`;
    if (this.#isClosed) throw eventErrors.BROKER_NOT_READY({ broker, why: 'its event log is closed' });
    this.#removeDone();
    const heldBytes = this.kept.partitions.flat().length * eventBytes;
    const limitBytes = this.#bytesMax * (isReply ? 1 : 0.9);
    if (heldBytes + eventBytes > limitBytes) {
      throw eventErrors.EVENT_LOG_FULL({ broker, heldBytes, limitBytes, slowest: 'somebody' });
    }
    this.#appendOne(event);
    for (const subscription of this.subscriptions) subscription.tell();
  }

  async subscribe(consumer: string, owner: string): Promise<Subscription> {
    await turn();
    const known = this.kept.consumers.get(consumer);
    const place = known ?? { owner, from: [...this.kept.ends], done: new Set<string>() };
    place.owner = owner;
    this.kept.consumers.set(consumer, place);
    const subscription = new PartitionedSubscription(this, consumer, place);
    this.subscriptions.add(subscription);
    return subscription;
  }

  async consumers(): Promise<readonly Consumer[]> {
    return [...this.kept.consumers].map(([name, { owner }]) => ({ name, owner }));
  }

  async forget(consumer: string): Promise<void> {
    this.kept.consumers.delete(consumer);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const subscription of this.subscriptions) await subscription.close();
  }

  /** Events of one source keep their order: they share a partition. */
  #appendOne({ event, headers }: NewEvent): void {
    const partition = String(event.attributes.source).length % partitionCount;
    const position = this.kept.ends[partition] as number;
    const offset = `${partition}/${position}`;
    const entry: Entry = { event, headers, partition, position, offset, sizeBytes: eventBytes };
    this.kept.partitions[partition]?.push(entry);
    this.kept.ends[partition] = position + 1 + ((position * 7 + partition) % 5);
  }

  #removeDone(): void {
    const consumers = [...this.kept.consumers.values()];
    this.kept.partitions = this.kept.partitions.map((entries) =>
      entries.filter((entry) => consumers.some((consumer) => isOpen(consumer, entry))),
    );
  }
}

const isOpen = ({ from, done }: KeptConsumer, { partition, position, offset }: Entry) =>
  position >= (from[partition] as number) && !done.has(offset);

class PartitionedSubscription implements Subscription {
  readonly deadlineMs = deadlineMs;
  readonly consumer: string;
  readonly #log: PartitionedLog;
  readonly #place: KeptConsumer;
  /** When each that is out, or was given back, is handed out again. */
  readonly #dueMs = new Map<string, { dueMs: number; isOut: boolean }>();
  /** Done, and not written down yet. */
  readonly #done = new Set<string>();
  #listener = () => {};
  #cancelTimer: (() => void) | undefined;
  #isClosed = false;

  constructor(log: PartitionedLog, consumer: string, place: KeptConsumer) {
    this.#log = log;
    this.consumer = consumer;
    this.#place = place;
  }

  get position(): string {
    return `after ${this.#place.done.size + this.#done.size}`;
  }

  async take(limit: number): Promise<readonly Delivery[]> {
    await turn();
    const now = this.#log.clock.monotonic();
    const taken: Entry[] = [];
    for (const entry of this.#open()) {
      const out = [...this.#dueMs.values()].filter(({ isOut, dueMs }) => isOut && dueMs > now).length;
      if (this.#isClosed || taken.length >= limit || out >= takenMax) break;
      if ((this.#dueMs.get(entry.offset)?.dueMs ?? 0) > now) continue;
      this.#hold(entry.offset, deadlineMs, true);
      taken.push({ ...entry });
    }
    return taken;
  }

  onReady(listener: () => void): void {
    this.#listener = listener;
  }

  ack({ offset }: Entry): void {
    this.#done.add(offset);
    this.#dueMs.delete(offset);
    this.#log.clock.after(50, () => this.#write());
    this.tell();
  }

  nack({ offset }: Entry, delayMs: number): void {
    this.#hold(offset, delayMs, false);
  }

  extend({ offset }: Entry): void {
    if (this.#dueMs.has(offset)) this.#hold(offset, deadlineMs, true);
  }

  retryNow(): void {
    for (const [offset, { isOut }] of this.#dueMs) if (!isOut) this.#dueMs.delete(offset);
    this.tell();
  }

  async backlog(): Promise<number> {
    await turn();
    return this.#open().length;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelTimer?.();
    this.#log.subscriptions.delete(this);
    this.#write();
  }

  tell(): void {
    if (!this.#isClosed) this.#listener();
  }

  #open(): Entry[] {
    const entries = this.#log.kept.partitions.toReversed().flat();
    return entries.filter((entry) => isOpen(this.#place, entry) && !this.#done.has(entry.offset));
  }

  #write(): void {
    for (const offset of this.#done) this.#place.done.add(offset);
    this.#done.clear();
  }

  #hold(offset: string, forMs: number, isOut: boolean): void {
    this.#dueMs.set(offset, { dueMs: this.#log.clock.monotonic() + forMs, isOut });
    this.#cancelTimer?.();
    const firstMs = Math.min(...[...this.#dueMs.values()].map(({ dueMs }) => dueMs));
    this.#cancelTimer = this.#log.clock.after(firstMs - this.#log.clock.monotonic(), () => this.tell());
  }
}
