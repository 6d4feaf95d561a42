import type { KubeObject } from '../../api/meta.ts';
import { KeySet } from './key-set.ts';
import { StoredObject } from './stored-object.ts';

/** One change of one object that is on disk. */
export interface StoreEvent {
  type: 'ADDED' | 'MODIFIED' | 'DELETED';
  key: string;
  revision: number;
  /** For DELETED the last state, with the deletion's resourceVersion. */
  stored: StoredObject;
  previous: StoredObject | undefined;
  atMs: number;
  /** About how many bytes the event keeps in memory: the object, its text, and the text as it is sent. */
  weight: number;
}

export type Row = [key: string, stored: StoredObject];

/** How many events a table remembers, and for how long, so that watches can resume and pages share a snapshot. */
const eventsMax = 4000;
const eventsAgeMaxMs = 5 * 60_000;
const eventBytes = 512;

/**
 * The objects of one resource that are on disk, in memory, with the newest events:
 *
 *     objects   key → newest        windowStart        revision
 *     events    ───────forgotten────────┤e₁ e₂ e₃ … eₙ│        a watch may resume at or after windowStart
 */
export class Table {
  readonly name: string;
  readonly #objects = new Map<string, StoredObject>();
  readonly #keys = new KeySet();
  readonly #listeners = new Set<(events: readonly StoreEvent[]) => void>();
  #events: StoreEvent[] = [];
  #weight = 0;
  #windowStart = 0;

  constructor(name: string) {
    this.name = name;
  }

  get size(): number {
    return this.#objects.size;
  }

  get(key: string): StoredObject | undefined {
    return this.#objects.get(key);
  }

  /**
   * Objects whose keys begin with `prefix` and sort after `after`, in order of their keys: a copy of pointers, which
   * stays as it is whatever changes.
   */
  rows(prefix = '', after = ''): Row[] {
    return this.#keys.slice(prefix, after).map((key) => [key, this.#objects.get(key) as StoredObject]);
  }

  /** How many objects have keys that begin with `prefix` and sort after `after`. */
  count(prefix: string, after = ''): number {
    return this.#keys.count(prefix, after);
  }

  /** As `rows`, of the state at an earlier `revision`; undefined when that is too long ago. */
  rowsAt(revision: number, prefix: string, after: string): Row[] | undefined {
    const since = this.eventsAfter(revision);
    if (!since) return undefined;
    const rows = this.rows(prefix, after);
    if (since.length === 0) return rows;
    const then = new Map<string, StoredObject | undefined>();
    for (let i = since.length - 1; i >= 0; i--) {
      const event = since[i] as StoreEvent;
      if (event.key > after && event.key.startsWith(prefix)) then.set(event.key, event.previous);
    }
    const kept = rows.filter(([key]) => !then.has(key));
    for (const [key, stored] of then) if (stored) kept.push([key, stored]);
    return kept.sort(([a], [b]) => (a < b ? -1 : 1));
  }

  /** About how many bytes the remembered events keep in memory. */
  get weight(): number {
    return this.#weight;
  }

  /** What happened after `revision`, oldest first, at most `max` of it; undefined when some of it is forgotten. */
  eventsAfter(revision: number, max = Number.POSITIVE_INFINITY): readonly StoreEvent[] | undefined {
    if (revision < this.#windowStart) return undefined;
    let low = 0;
    let high = this.#events.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#events[middle] as StoreEvent).revision <= revision) low = middle + 1;
      else high = middle;
    }
    return this.#events.slice(low, low + max);
  }

  /** Calls `listener` with each batch of events, in order; the returned function ends it. */
  subscribe(listener: (events: readonly StoreEvent[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** For the store only: an object as it was found on disk. */
  load(key: string, stored: StoredObject): void {
    this.#objects.set(key, stored);
    this.#keys.append(key);
    this.forgetUpTo(stored.revision);
  }

  /** For the store only: what happened up to `revision` is not known any more. */
  forgetUpTo(revision: number): void {
    this.#windowStart = Math.max(this.#windowStart, revision);
  }

  /** For the store only: takes in a change that is on disk. */
  apply(key: string, revision: number, next: StoredObject | undefined, nowMs: number): StoreEvent {
    const previous = this.#objects.get(key);
    const event = { key, revision, previous, atMs: nowMs };
    const kept = next ?? previous;
    if (!kept) throw new Error(`${this.name} ${key} was deleted twice`);
    const treeBytes = kept.weight;
    const weight = eventBytes + treeBytes + 2 * (next ? Buffer.byteLength(next.json) : treeBytes);
    if (next) {
      this.#objects.set(key, next);
      if (!previous) this.#keys.add(key);
      return this.#remember({ ...event, weight, type: previous ? 'MODIFIED' : 'ADDED', stored: next });
    }
    this.#objects.delete(key);
    this.#keys.delete(key);
    return this.#remember({ ...event, weight, type: 'DELETED', stored: atRevision(kept, revision) });
  }

  /** For the store only: tells the subscribers. One that throws takes the events from no other. */
  publish(events: readonly StoreEvent[], onFailure: (error: unknown) => void): void {
    for (const listener of this.#listeners) {
      try {
        listener(events);
      } catch (error) {
        onFailure(error);
      }
    }
  }

  /** For the store only: forgets events that are too old or too many. */
  trim(nowMs: number): void {
    let drop = Math.max(0, this.#events.length - eventsMax);
    while ((this.#events[drop]?.atMs ?? Number.POSITIVE_INFINITY) < nowMs - eventsAgeMaxMs) drop++;
    this.forgetOldest(drop);
  }

  /** For the store only. */
  forgetOldest(count: number): void {
    for (const event of this.#events.splice(0, count)) {
      this.#windowStart = event.revision;
      this.#weight -= event.weight;
      event.stored.dropJson();
    }
  }

  #remember(event: StoreEvent): StoreEvent {
    this.#events.push(event);
    this.#weight += event.weight;
    return event;
  }
}

/** The same object, as if `revision` had written it. */
export function atRevision<T extends KubeObject>(stored: StoredObject<T>, revision: number): StoredObject<T> {
  const { object } = stored;
  return new StoredObject({ ...object, metadata: { ...object.metadata, resourceVersion: String(revision) } }, revision);
}
