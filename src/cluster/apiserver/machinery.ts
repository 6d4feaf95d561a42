import type { Configuration, KindContext } from '../../api/kind.ts';
import type { KubeObject } from '../../api/meta.ts';
import { ApiError } from '../../api/status.ts';
import type { Admission } from '../../kube/admission.ts';
import type { Clock } from '../../lib/clock.ts';
import { KittiwakeError, messageOf } from '../../lib/errors.ts';
import type { Logger } from '../../observe/log.ts';
import type { Store } from '../store/store.ts';
import type { StoredObject } from '../store/stored-object.ts';
import type { Table } from '../store/table.ts';
import type { Policy } from './authorize.ts';
import type { Converted } from './conversion.ts';
import type { RequestInfo, Target } from './request-info.ts';
import type { ResourceRegistry } from './resource-registry.ts';

/** What the operations of the pipeline work with. */
export interface Machinery {
  store: Store;
  registry: ResourceRegistry;
  /** Asked at the door. */
  policy: Policy;
  /** The plugins of this moment. */
  admission: () => readonly Admission[];
  /** What kinds are configured with, at this moment. */
  config: () => Configuration;
  /** Whether a new pod may have the UID that it came with: once for each that was set aside for one. */
  claimUid: (uid: string) => boolean;
  clock: Clock;
  log: Logger;
}

/** What a kind gets to know of a write, beyond the object. */
export function contextOf({ config }: Machinery, old: KubeObject | undefined, { user }: RequestInfo): KindContext {
  return { old, user, config: config() };
}

/** Where the object lives in its table: the text of its key (api/meta.ts), which `parseKeyText` reads. */
export function storeKey({ resource, namespace }: Target, name: string): string {
  return resource.kind.isNamespaced ? `${namespace}/${name}` : name;
}

/** What all keys of a list or watch begin with. */
export function storePrefix({ resource, namespace }: Target): string {
  return resource.kind.isNamespaced && namespace ? `${namespace}/` : '';
}

const reasons: Partial<Record<string, string>> = {
  DISK_FULL: 'DiskFull',
  STORE_BUSY: 'TooManyRequests',
  OBJECT_TOO_LARGE: 'RequestEntityTooLarge',
};

/** What a failure is to clients: an ApiError, a catalogued error in the API's words, or else an InternalError. */
export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (!(error instanceof KittiwakeError)) {
    return new ApiError(500, 'InternalError', 'Internal error occurred: the log of the API server says more', {
      causes: [{ message: messageOf(error) }],
    });
  }
  const details = error.code === 'STORE_BUSY' ? { retryAfterSeconds: 1 } : {};
  const status = new ApiError(error.status, reasons[error.code] ?? 'InternalError', error.message, details);
  status.cause = error;
  return status;
}

/** What nobody foresaw stays what it is until it reaches a client: on the way there it is logged. */
const ofStore = (error: unknown): unknown => (error instanceof KittiwakeError ? asApiError(error) : error);

/** Writes the object, now, and resolves when it is on disk. */
export async function putOnDisk(store: Store, table: Table, key: string, converted: Converted): Promise<StoredObject> {
  try {
    const { stored, durable } = store.put(table, key, converted.object);
    for (const other of converted.others) stored.isShownAs(other);
    await durable;
    return stored;
  } catch (error) {
    throw ofStore(error);
  }
}

/** Waits for a write to be on disk. */
export async function onDisk(durable: Promise<void>): Promise<void> {
  try {
    await durable;
  } catch (error) {
    throw ofStore(error);
  }
}
