import { ApiError } from '../../api/status.ts';
import type { StoredObject } from '../store/stored-object.ts';
import type { StoreEvent, Table } from '../store/table.ts';
import { keyOfStoreKey, type Machinery, storeKey, storePrefix } from './machinery.ts';
import { compileSelectors, parseRevision } from './read.ts';
import type { ServedEvent, WatchRequest, WatchStream } from './resources.ts';
import { bookmark, errorEvent, expiredError, initialEvent, objectEvent } from './served-event.ts';

/** A watcher that lets more events than this wait is too slow: it is told so, and lists again. */
const queuedMax = 2000;
const bookmarkEveryMs = 60_000;

/** How many of the objects that are there at the beginning go into one batch. */
const initialBatch = 100;

/**
 * Watches as `request` says. What it begins with is decided now, at the call; malformed requests are ApiErrors now.
 *
 *     objects there ─ ADDED… ─ BOOKMARK ─┐                  (no resourceVersion, "0", or sendInitialEvents)
 *     events after resourceVersion ──────┴─▶ live events, BOOKMARK each minute … until signal, timeout or overflow
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
  readonly #cleanups: (() => void)[] = [];
  #initial: Iterator<StoredObject> | undefined;
  #afterInitial: ServedEvent[] = [];
  #queue: ServedEvent[] = [];
  #seen: number;
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
    this.#isOfInterest = keyFilter(request, name ?? selector.name);
    this.#seen = store.revision;
    requireConsistent(request);
    this.#begin();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<readonly ServedEvent[]>> {
    for (;;) {
      const batch = this.#guarded(() => this.#initialBatch()) ?? this.#queue;
      if (batch.length > 0) {
        if (batch === this.#queue) this.#queue = [];
        return { done: false, value: batch };
      }
      if (this.#isEnded) return { done: true, value: undefined };
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async return(): Promise<IteratorResult<readonly ServedEvent[]>> {
    this.#queue = [];
    this.#initial = undefined;
    this.#end();
    return { done: true, value: undefined };
  }

  #begin(): void {
    const { resource, resourceVersion, sendInitialEvents, signal } = this.#request;
    const { store } = this.#machinery;
    const from = parseRevision(resourceVersion);
    if (from === 0 || sendInitialEvents) {
      this.#initial = this.#objectsNow();
      if (sendInitialEvents) this.#afterInitial.push(bookmark(resource.kind, store.revision, true));
    } else {
      // Ahead of this store is a revision of another one, that stood here before: nothing is known of it.
      const missed = from > store.revision ? undefined : this.#table.eventsAfter(from);
      if (!missed) {
        const message = `too old resource version: ${from} (${store.revision})`;
        this.#fail(expiredError(message));
        return;
      }
      this.#take(missed);
    }
    this.#cleanups.push(this.#table.subscribe((events) => this.#guarded(() => this.#onEvents(events))));
    const onAbort = () => {
      this.#queue = [];
      this.#initial = undefined;
      this.#end();
    };
    if (signal.aborted) {
      onAbort();
      return;
    }
    signal.addEventListener('abort', onAbort, { once: true });
    this.#cleanups.push(() => signal.removeEventListener('abort', onAbort));
    this.#startTimers();
  }

  /** A copy of the list of what is there: the objects are shared, and made into events as they are asked for. */
  #objectsNow(): Iterator<StoredObject> {
    const objects: StoredObject[] = [];
    for (const [key, stored] of this.#table.scan(storePrefix(this.#request))) {
      if (this.#isOfInterest(key) && (this.#matches?.(stored) ?? true)) objects.push(stored);
    }
    return objects.values();
  }

  #initialBatch(): ServedEvent[] | undefined {
    if (!this.#initial) return undefined;
    const batch: ServedEvent[] = [];
    while (batch.length < initialBatch) {
      const { done, value } = this.#initial.next();
      if (done) {
        this.#initial = undefined;
        batch.push(...this.#afterInitial);
        break;
      }
      batch.push(initialEvent(value, this.#request.resource.kind));
    }
    return batch;
  }

  /** What goes wrong with an object is the end of the watches that see it, and of nothing else. */
  #guarded<T>(work: () => T): T | undefined {
    try {
      return work();
    } catch (error) {
      this.#machinery.log.error({ err: error, resource: this.#table.name }, 'a watch failed over an event');
      this.#queue = [];
      this.#fail(new ApiError(500, 'InternalError', 'Internal error occurred: the log of the API server says more'));
      return undefined;
    }
  }

  #onEvents(events: readonly StoreEvent[]): void {
    // A watch that began while this very batch was being published has seen some of it already.
    this.#take((events[0]?.revision ?? 0) > this.#seen ? events : events.filter((e) => e.revision > this.#seen));
    if (this.#queue.length > queuedMax) {
      this.#queue = [];
      this.#fail(expiredError('the watcher is too slow: too many events wait for it'));
    }
    if (this.#queue.length > 0) this.#signal();
  }

  #take(events: readonly StoreEvent[]): void {
    const { kind } = this.#request.resource;
    for (const event of events) {
      if (!this.#isOfInterest(event.key)) continue;
      const type = this.#matches ? typeSeen(event, this.#matches) : event.type;
      if (type) this.#queue.push(objectEvent(event, type, kind));
    }
  }

  #startTimers(): void {
    const { clock, store } = this.#machinery;
    const { resource, allowWatchBookmarks, timeoutSeconds } = this.#request;
    const mark = () => {
      if (!allowWatchBookmarks || this.#initial) return;
      this.#queue.push(bookmark(resource.kind, store.revision, false));
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

  #fail(error: ApiError): void {
    this.#queue.push(errorEvent(error));
    this.#initial = undefined;
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
  return (key) => keyOfStoreKey(key).name === name;
}

/** What the change is to a watcher that sees only what matches; undefined when it is nothing. */
function typeSeen(event: StoreEvent, matches: (stored: StoredObject) => boolean): StoreEvent['type'] | undefined {
  const before = event.previous !== undefined && matches(event.previous);
  const now = event.type !== 'DELETED' && matches(event.stored);
  if (now) return before ? 'MODIFIED' : 'ADDED';
  return before ? 'DELETED' : undefined;
}
