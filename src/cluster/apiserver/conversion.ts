import type { KubeObject } from '../../api/meta.ts';
import { ApiError } from '../../api/status.ts';
import type { StoredObject } from '../store/stored-object.ts';
import type { Table } from '../store/table.ts';
import type { ServedResource } from './resources.ts';

/**
 * Objects are converted when they are written, to the version that is stored and to all others that are served: reads
 * find what they show, and never wait.
 */
export type Convert = (object: KubeObject) => Promise<readonly KubeObject[]>;

/** An object as it goes into the store. */
export interface Converted {
  object: KubeObject;
  /** As other versions show it, where that differs in more than the version's name. */
  others: readonly KubeObject[];
}

/** Waits only where a resource converts: else (strategy None) versions differ in their name alone. */
export function toStored(
  { convert, storedApiVersion }: ServedResource,
  object: KubeObject,
): Converted | Promise<Converted> {
  if (convert) return convertAll(convert, storedApiVersion, object);
  const isSame = object.apiVersion === storedApiVersion;
  return { object: isSame ? object : { ...object, apiVersion: storedApiVersion }, others: [] };
}

/**
 * Shows what `table` holds in all versions, as if it had been written just now; on disk it stays as it was. When it
 * resolves, this is so of all that is there.
 */
export async function convertLoaded(table: Table, convert: Convert): Promise<void> {
  const done = new WeakSet<StoredObject>();
  const left = () => table.rows().filter(([, stored]) => !done.has(stored));
  for (let rows = left(); rows.length > 0; rows = left()) {
    for (const [, stored] of rows) {
      const { apiVersion } = stored.object;
      for (const other of await convert(stored.object)) if (other.apiVersion !== apiVersion) stored.isShownAs(other);
      done.add(stored);
    }
  }
}

async function convertAll(convert: Convert, storedApiVersion: string, object: KubeObject): Promise<Converted> {
  const all = await convert(object);
  const stored = all.find(({ apiVersion }) => apiVersion === storedApiVersion);
  if (!stored) {
    const why = `conversion of ${object.kind} ${object.metadata.name} gave no ${storedApiVersion}, which is stored`;
    throw new ApiError(500, 'InternalError', `Internal error occurred: ${why}`);
  }
  // Conversion has no say in metadata.
  return { object: { ...stored, metadata: object.metadata }, others: all.filter((other) => other !== stored) };
}
