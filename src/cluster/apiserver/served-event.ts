import { apiVersionOf, type Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/meta.ts';
import { initialEventsEnd } from '../../api/meta.ts';
import { ApiError } from '../../api/status.ts';
import { StoredObject } from '../store/stored-object.ts';
import { atRevision, type StoreEvent } from '../store/table.ts';
import type { ServedEvent } from './resources.ts';

/** An event about an object; all watchers that see the same event share one of these, and its bytes. */
class ObjectEvent implements ServedEvent {
  readonly type: ServedEvent['type'];
  readonly #stored: StoredObject;
  /** Whether its bytes are kept: the store counts them for what most watchers see, and for nothing else. */
  readonly #isShared: boolean;
  #bytes: Buffer | undefined;

  constructor(type: ServedEvent['type'], stored: StoredObject, isShared: boolean) {
    this.type = type;
    this.#stored = stored;
    this.#isShared = isShared;
  }

  get object(): KubeObject {
    return this.#stored.object;
  }

  get bytes(): Buffer {
    if (this.#bytes) return this.#bytes;
    const bytes = Buffer.from(`{"type":"${this.type}","object":${this.#stored.json}}\n`);
    if (this.#isShared) this.#bytes = bytes;
    return bytes;
  }
}

/** An object that was there when the watch began. */
export function initialEvent(stored: StoredObject, kind: Kind): ServedEvent {
  return new ObjectEvent('ADDED', stored.as(apiVersionOf(kind)), false);
}

const shared = new WeakMap<StoreEvent, ObjectEvent>();

/**
 * The event as a watcher of `kind` sees it. `type` differs from the store's for objects that enter or leave its
 * selector; one that leaves is shown as it last was inside, with the resourceVersion of the change.
 */
export function objectEvent(event: StoreEvent, type: 'ADDED' | 'MODIFIED' | 'DELETED', kind: Kind): ServedEvent {
  const apiVersion = apiVersionOf(kind);
  const isLeaving = type === 'DELETED' && event.type !== 'DELETED';
  const stored = isLeaving && event.previous ? atRevision(event.previous, event.revision) : event.stored;
  const isShared = type === event.type && apiVersion === stored.object.apiVersion;
  if (!isShared) return new ObjectEvent(type, stored.as(apiVersion), false);
  let made = shared.get(event);
  if (!made) {
    made = new ObjectEvent(type, stored, true);
    shared.set(event, made);
  }
  return made;
}

/** Says that all up to `revision` has been sent; `isInitialEnd` that the objects of the beginning have been. */
export function bookmark(kind: Kind, revision: number, isInitialEnd: boolean): ServedEvent {
  const annotations = isInitialEnd ? { annotations: { [initialEventsEnd]: 'true' } } : {};
  const object = {
    kind: kind.kind,
    apiVersion: apiVersionOf(kind),
    metadata: { resourceVersion: String(revision), ...annotations },
  };
  return new ObjectEvent('BOOKMARK', new StoredObject(object as unknown as KubeObject, revision), false);
}

/** The last event of a watch that cannot go on. */
export function errorEvent(error: ApiError): ServedEvent {
  const object = error.toStatus();
  return { type: 'ERROR', object, bytes: Buffer.from(`${JSON.stringify({ type: 'ERROR', object })}\n`) };
}

export const expiredError = (message: string) => new ApiError(410, 'Expired', message);
