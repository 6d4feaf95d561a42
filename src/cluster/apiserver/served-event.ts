import { apiVersionOf, type Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/meta.ts';
import { ApiError } from '../../api/status.ts';
import { StoredObject } from '../store/stored-object.ts';
import { atRevision, type StoreEvent } from '../store/table.ts';
import type { ServedEvent } from './resources.ts';

/** An event about an object; all watchers that see the same event share one of these, and its bytes. */
class ObjectEvent implements ServedEvent {
  readonly type: ServedEvent['type'];
  readonly #stored: StoredObject;
  #bytes: Buffer | undefined;

  constructor(type: ServedEvent['type'], stored: StoredObject) {
    this.type = type;
    this.#stored = stored;
  }

  get object(): KubeObject {
    return this.#stored.object;
  }

  get bytes(): Buffer {
    this.#bytes ??= Buffer.from(`{"type":"${this.type}","object":${this.#stored.json}}\n`);
    return this.#bytes;
  }
}

/** An object that was there when the watch began. */
export function initialEvent(stored: StoredObject, kind: Kind): ServedEvent {
  return new ObjectEvent('ADDED', stored.as(apiVersionOf(kind)));
}

const shared = new WeakMap<StoreEvent, Map<string, ObjectEvent>>();

/**
 * The event as a watcher of `kind` sees it. `type` differs from the store's for objects that enter or leave its
 * selector; one that leaves is shown as it last was inside, with the resourceVersion of the change.
 */
export function objectEvent(event: StoreEvent, type: 'ADDED' | 'MODIFIED' | 'DELETED', kind: Kind): ServedEvent {
  const apiVersion = apiVersionOf(kind);
  const id = `${type} ${apiVersion}`;
  let known = shared.get(event);
  if (!known) {
    known = new Map();
    shared.set(event, known);
  }
  let made = known.get(id);
  if (!made) {
    const isLeaving = type === 'DELETED' && event.type !== 'DELETED';
    const stored = isLeaving && event.previous ? atRevision(event.previous, event.revision) : event.stored;
    made = new ObjectEvent(type, stored.as(apiVersion));
    known.set(id, made);
  }
  return made;
}

/** Says that all up to `revision` has been sent; `isInitialEnd` that the objects of the beginning have been. */
export function bookmark(kind: Kind, revision: number, isInitialEnd: boolean): ServedEvent {
  const annotations = isInitialEnd ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {};
  const object = {
    kind: kind.kind,
    apiVersion: apiVersionOf(kind),
    metadata: { resourceVersion: String(revision), ...annotations },
  };
  return new ObjectEvent('BOOKMARK', new StoredObject(object as unknown as KubeObject, revision));
}

/** The last event of a watch that cannot go on. */
export function errorEvent(error: ApiError): ServedEvent {
  const object = error.toStatus();
  return { type: 'ERROR', object, bytes: Buffer.from(`${JSON.stringify({ type: 'ERROR', object })}\n`) };
}

export const expiredError = (message: string) => new ApiError(410, 'Expired', message);
