import { parseKeyText } from '../../api/meta.ts';
import { ApiError } from '../../api/status.ts';
import type { StoredObject } from '../store/stored-object.ts';
import type { StoreEvent, Table } from '../store/table.ts';
import { asApiError, type Machinery, storeKey, storePrefix } from './machinery.ts';
import { compileSelectors, parseRevision } from './read.ts';
import type { ServedEvent, WatchRequest, WatchStream } from './resources.ts';
import { bookmark, errorEvent, expiredError, initialEvent, objectEvent } from './served-event.ts';

const bookmarkEveryMs = 60_000;

/** How many events go into one batch, and of what weight: what a reader that waits holds of its own. */
const batchMax = 100;
const batchWeightMax = 1024 * 1024;

/** After so many objects or events that are not of interest, fewer for a long selector, the event loop gets a turn. */
const skippedMax = 2000;
const comparisonsMax = 100_000;

/**
 * Watches as `request` says. What it begins with is decided now, at the call; malformed requests are ApiErrors now.
 *
 *     objects there ─ ADDED… ─ BOOKMARK ─┐                  (no resourceVersion, "0", or sendInitialEvents)
 *     events after resourceVersion ──────┴─▶ live events, BOOKMARK each minute … until signal, timeout or lag
 *
 * A watch keeps no events of its own, only how far it has come in those that the table remembers: a reader that falls
 * behind costs nothing, and is told 410 when what it has not read is forgotten.
 */
export function watch(machinery: Machinery, request: WatchRequest): WatchStream {
  return new Watcher(machinery, request);
}

class Watcher implements WatchStream, AsyncIterator<readonly ServedEvent[]> {
  readonly #machinery: Machinery;
  readonly #request: WatchRequest;
  readonly #table: Table;
  readonly #isOfInterest: (key: string) => boolean;
  readonly #matches: ((stored: StoredObject) => boolean) | undefined;
  readonly #skippedMax: number;
  readonly #cleanups: (() => void)[] = [];
  /** What was there at the beginning and is still to be sent. */
  #initial: [key: string, stored: StoredObject][] | undefined;
  #initialAt = 0;
  /** All that happened up to this revision has been read. */
  #position: number;
  /** Sent once everything before it has been. */
  #isBookmarkDue = false;
  #last: ServedEvent | undefined;
  #isEnded = false;
  #wake: (() => void) | undefined;

  constructor(machinery: Machinery, request: WatchRequest) {
    const { store } = machinery;
    const { resource, name } = request;
    this.#machinery = machinery;
    this.#request = request;
    this.#table = store.table(resource.table);
    const selector = compileSelectors(request, resource);
    this.#matches = selector.matches;
    this.#skippedMax = Math.ceil(Math.min(skippedMax, comparisonsMax / selector.comparisons));
    this.#isOfInterest = keyFilter(request, name ?? selector.name);
    this.#position = store.revision;
    requireConsistent(request);
    this.#begin();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<readonly ServedEvent[]>> {
    for (;;) {
      const batch = this.#guarded(() => this.#initialBatch() ?? this.#nextBatch());
      if (batch && batch.length > 0) return { done: false, value: batch };
      if (batch) {
        await new Promise((resolve) => setImmediate(resolve));
        continue;
      }
      if (this.#last) {
        const value = [this.#last];
        this.#last = undefined;
        return { done: false, value };
      }
      if (this.#isEnded) return { done: true, value: undefined };
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async return(): Promise<IteratorResult<readonly ServedEvent[]>> {
    this.#abort();
    return { done: true, value: undefined };
  }

  #begin(): void {
    const { resourceVersion, sendInitialEvents, signal } = this.#request;
    const { store } = this.#machinery;
    const from = parseRevision(resourceVersion);
    if (from === 0 || sendInitialEvents) {
      this.#initial = this.#table.rows(storePrefix(this.#request));
    } else {
      // Ahead of this store is a revision of another one, that stood here before: nothing is known of it.
      if (from > store.revision || !this.#table.eventsAfter(from, 0)) {
        this.#fail(expiredError(`too old resource version: ${from} (${store.revision})`));
        return;
      }
      this.#position = from;
    }
    this.#cleanups.push(this.#table.subscribe(() => this.#signal()));
    const onAbort = () => this.#abort();
    if (signal.aborted) {
      onAbort();
      return;
    }
    signal.addEventListener('abort', onAbort, { once: true });
    this.#cleanups.push(() => signal.removeEventListener('abort', onAbort));
    this.#startTimers();
  }

  /** What goes wrong with an object is the end of the watches that see it, and of nothing else. */
  #guarded<T>(work: () => T): T | undefined {
    try {
      return work();
    } catch (error) {
      this.#machinery.log.error({ err: error, resource: this.#table.name }, 'a watch failed over an event');
      this.#fail(asApiError(error));
      return undefined;
    }
  }

  /** Empty when nothing of what was looked at is of interest, and there is more to look at. */
  #initialBatch(): ServedEvent[] | undefined {
    const { kind } = this.#request.resource;
    if (!this.#initial) return undefined;
    // Who takes longer over the beginning than what follows is remembered could not go on, and holds what is old.
    if (!this.#table.eventsAfter(this.#position, 0)) return this.#failSlow();
    const batch: ServedEvent[] = [];
    const end = this.#initialAt + this.#skippedMax;
    while (this.#initialAt < end && batch.length < batchMax) {
      const [key, stored] = this.#initial[this.#initialAt] ?? [];
      if (key === undefined || !stored) {
        this.#initial = undefined;
        // What the objects show; what has happened meanwhile follows as events.
        if (this.#request.sendInitialEvents) batch.push(bookmark(kind, this.#position, true));
        return batch.length > 0 ? batch : undefined;
      }
      this.#initialAt++;
      if (!this.#isOfInterest(key) || !(this.#matches?.(stored) ?? true)) continue;
      batch.push(initialEvent(stored, kind));
    }
    return batch;
  }

  /** Undefined when nothing is new; empty when there is more to look at. */
  #nextBatch(): ServedEvent[] | undefined {
    const { kind } = this.#request.resource;
    if (this.#isEnded && !this.#isBookmarkDue) return undefined;
    const events = this.#table.eventsAfter(this.#position, this.#skippedMax);
    if (!events) return this.#failSlow();
    const batch: ServedEvent[] = [];
    let weight = 0;
    for (const event of events) {
      if (batch.length === batchMax || weight >= batchWeightMax) return batch;
      this.#position = event.revision;
      if (!this.#isOfInterest(event.key)) continue;
      const type = this.#matches ? typeSeen(event, this.#matches) : event.type;
      if (!type) continue;
      weight += event.weight;
      batch.push(objectEvent(event, type, kind));
    }
    if (events.length === this.#skippedMax) return batch;
    if (this.#isBookmarkDue) {
      this.#isBookmarkDue = false;
      batch.push(bookmark(kind, this.#machinery.store.revision, false));
    }
    return batch.length > 0 ? batch : undefined;
  }

  #startTimers(): void {
    const { clock } = this.#machinery;
    const { allowWatchBookmarks, timeoutSeconds } = this.#request;
    const mark = () => {
      if (!allowWatchBookmarks || this.#initial) return;
      this.#isBookmarkDue = true;
      this.#signal();
    };
    if (allowWatchBookmarks) {
      const again = () => {
        mark();
        cancel = clock.after(bookmarkEveryMs, again);
      };
      let cancel = clock.after(bookmarkEveryMs, again);
      this.#cleanups.push(() => cancel());
    }
    const timeoutMs = 1000 * (timeoutSeconds || 1800 + Math.random() * 1800);
    if (timeoutMs === Number.POSITIVE_INFINITY) return;
    this.#cleanups.push(
      clock.after(timeoutMs, () => {
        mark();
        this.#end();
      }),
    );
  }

  #failSlow(): undefined {
    this.#fail(expiredError('the watcher is too slow: events that it has not read are forgotten'));
  }

  #fail(error: ApiError): void {
    this.#last = errorEvent(error);
    this.#abort();
  }

  /** Ends without what is still to be sent. */
  #abort(): void {
    this.#initial = undefined;
    this.#isBookmarkDue = false;
    this.#end();
  }

  #end(): void {
    this.#isEnded = true;
    for (const cleanup of this.#cleanups.splice(0)) cleanup();
    this.#signal();
  }

  #signal(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}

function requireConsistent({ sendInitialEvents, resourceVersionMatch }: WatchRequest): void {
  if (sendInitialEvents !== undefined && resourceVersionMatch !== 'NotOlderThan') {
    const message = 'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan';
    throw new ApiError(422, 'Invalid', message);
  }
  if (sendInitialEvents === undefined && resourceVersionMatch) {
    throw new ApiError(
      422,
      'Invalid',
      'resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided',
    );
  }
}

function keyFilter(request: WatchRequest, name: string | undefined): (key: string) => boolean {
  const prefix = storePrefix(request);
  if (name === undefined) return prefix === '' ? () => true : (key) => key.startsWith(prefix);
  if (prefix !== '' || !request.resource.kind.isNamespaced) {
    const only = storeKey(request, name);
    return (key) => key === only;
  }
  return (key) => parseKeyText(key).name === name;
}

/** What the change is to a watcher that sees only what matches; undefined when it is nothing. */
function typeSeen(event: StoreEvent, matches: (stored: StoredObject) => boolean): StoreEvent['type'] | undefined {
  const before = event.previous !== undefined && matches(event.previous);
  const now = event.type !== 'DELETED' && matches(event.stored);
  if (now) return before ? 'MODIFIED' : 'ADDED';
  return before ? 'DELETED' : undefined;
}
