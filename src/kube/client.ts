import type { Kind, KindReference } from '../api/kind.ts';
import type { Key, KubeObject } from '../api/meta.ts';

/**
 * The seam: all that a controller may do to the world. Two implementations: HTTP (any Kubernetes) in this folder, and
 * in-process (the embedded server's own pipeline) in cluster/. Failures are ApiError (api/status.ts).
 *
 * Objects that come back are shared with caches: never change one, copy it first (`structuredClone`).
 */
export interface Client {
  /** The kind that a reference names, at its version; undefined when the server has none (now). */
  kindOf(reference: KindReference): Promise<Kind | undefined>;
  /** The object, or undefined when there is none. */
  get<T extends KubeObject>(kind: Kind<T>, key: Key): Promise<T | undefined>;
  list<T extends KubeObject>(kind: Kind<T>, options?: ListOptions): Promise<ListResult<T>>;
  /**
   * Without `resourceVersion`: ADDED for all that is there, a BOOKMARK marked `isInitialEnd`, then changes as they
   * come. With it: what came after. Throws ApiError 410 when that is too long ago: list again. Ends on `signal`.
   */
  watch<T extends KubeObject>(kind: Kind<T>, options: WatchOptions): AsyncIterable<WatchEvent<T>>;
  create<T extends KubeObject>(kind: Kind<T>, object: T): Promise<T>;
  /** Does what POST on a subresource of the object does (eviction, token, binding), and gives what is answered. */
  createOn(kind: Kind, key: Key, subresource: string, object: KubeObject): Promise<KubeObject>;
  /** Replaces the object (or its subresource); 409 Conflict when `metadata.resourceVersion` is not the stored one. */
  update<T extends KubeObject>(kind: Kind<T>, object: T, subresource?: UpdateSubresource): Promise<T>;
  patch<T extends KubeObject>(kind: Kind<T>, key: Key, patch: Patch, subresource?: 'status' | 'scale'): Promise<T>;
  /** Sets `spec.replicas` through the scale subresource. */
  scale(kind: Kind, key: Key, replicas: number): Promise<void>;
  /** Deletes, or marks as being deleted while finalizers or grace remain. An object that is gone is no error. */
  delete(kind: Kind, key: Key, options?: DeleteOptions): Promise<void>;
}

/** `finalize` is of namespaces only: it alone changes `spec.finalizers`. */
export type UpdateSubresource = 'status' | 'finalize';

export interface ListOptions {
  /** Absent: all namespaces. */
  namespace?: string;
  /** `a=b,c in (d,e),!f`. */
  labelSelector?: string;
  /** `metadata.name=x`, and the fields that the kind offers. */
  fieldSelector?: string;
}

export interface ListResult<T> {
  items: T[];
  /** Covers exactly `items`: a watch from here misses nothing and repeats nothing. */
  resourceVersion: string;
}

export interface WatchOptions extends ListOptions {
  resourceVersion?: string;
  signal: AbortSignal;
}

export type WatchEvent<T> =
  | { type: 'ADDED' | 'MODIFIED' | 'DELETED'; object: T }
  | { type: 'BOOKMARK'; resourceVersion: string; isInitialEnd: boolean };

export type Patch =
  | { type: 'json'; operations: JsonPatchOperation[] }
  | { type: 'merge' | 'strategic'; patch: unknown }
  | { type: 'apply'; patch: unknown; fieldManager: string; force?: boolean };

/** Their media types. */
export const patchTypes: Readonly<Record<Patch['type'], string>> = {
  json: 'application/json-patch+json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  apply: 'application/apply-patch+yaml',
};

export type JsonPatchOperation =
  | { op: 'add' | 'replace' | 'test'; path: string; value: unknown }
  | { op: 'remove'; path: string }
  | { op: 'move' | 'copy'; from: string; path: string };

export interface DeleteOptions {
  propagationPolicy?: 'Background' | 'Foreground' | 'Orphan';
  gracePeriodSeconds?: number;
  preconditions?: { uid?: string; resourceVersion?: string };
}
