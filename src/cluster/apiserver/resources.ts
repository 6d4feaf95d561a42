/**
 * What the request pipeline offers to those in front of it: the HTTP listener and the in-process Client. Nothing here
 * knows HTTP; failures are ApiError (api/status.ts).
 */
import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/meta.ts';
import type { Status } from '../../api/status.ts';
import type { DeleteOptions, Patch } from '../../kube/client.ts';
import type { StoredObject } from '../store/stored-object.ts';
import type { Policy } from './authorize.ts';
import type { Convert } from './conversion.ts';
import type { NamedRequest, RequestInfo, Verb } from './request-info.ts';
import type { Strategy, Subresource } from './strategy.ts';

/** One resource at one served version. */
export interface ServedResource {
  kind: Kind;
  listKind: string;
  /** Part of Kubernetes itself; false for what a CustomResourceDefinition defines. */
  isBuiltin: boolean;
  strategy: Strategy;
  /** Of the resource itself; each subresource has its own. */
  verbs: readonly Verb[];
  subresources: ReadonlyMap<string, Subresource>;
  /** The `group/plural` under which all versions of it are stored. */
  table: string;
  /** The apiVersion that its objects have in the store. */
  storedApiVersion: string;
  /** An object in all versions that are served or stored; absent where they differ in nothing but their name. */
  convert?: Convert;
  /** Given to clients as a warning on each use. */
  deprecationWarning?: string;
}

/** What is served at this moment. A CRD's resources are here before its condition Established says so. */
export interface Resources {
  find(group: string, version: string, plural: string): ServedResource | undefined;
  /** In order of registration: built-ins first; versions of one resource in their order of priority. */
  all(): readonly ServedResource[];
  /** Calls `listener` after each change of `all()`; the returned function ends it. */
  onChange(listener: () => void): () => void;
}

/** Strict: an unknown or repeated field is a 400; Warn: it is dropped with a warning; Ignore: it is dropped. */
export type FieldValidation = 'Strict' | 'Warn' | 'Ignore';

export interface WriteOptions {
  fieldManager?: string | undefined;
  /** Warn unless given. */
  fieldValidation?: FieldValidation | undefined;
  /** What decoding found wrong, for example `duplicate field "spec.replicas"`; handled as `fieldValidation` says. */
  decodingErrors?: readonly string[] | undefined;
}

export interface SelectorOptions {
  labelSelector?: string | undefined;
  fieldSelector?: string | undefined;
}

export interface ListRequest extends RequestInfo, SelectorOptions {
  resourceVersion?: string | undefined;
  resourceVersionMatch?: string | undefined;
  limit?: number | undefined;
  continue?: string | undefined;
}

/** With a name it watches one object: `GET /…/name?watch=1`. */
export interface WatchRequest extends RequestInfo, SelectorOptions {
  resourceVersion?: string | undefined;
  resourceVersionMatch?: string | undefined;
  sendInitialEvents?: boolean | undefined;
  allowWatchBookmarks?: boolean | undefined;
  /** The watch ends by itself after this long; 30 to 60 minutes unless given. */
  timeoutSeconds?: number | undefined;
  signal: AbortSignal;
}

export interface Result {
  stored: StoredObject;
  /** For `Warning` headers: without the code and quotes. */
  warnings: readonly string[];
}

export interface DeleteResult extends Result {
  /** False while finalizers or a grace period keep the object. */
  isGone: boolean;
}

export interface ListResultPage {
  items: readonly StoredObject[];
  /** Covers exactly `items`. */
  resourceVersion: string;
  continue?: string;
  remainingItemCount?: number;
}

/** What happened, for one watcher: each event turned into bytes at most once, whoever watches. */
export interface ServedEvent {
  type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  /** For BOOKMARK only a resourceVersion (and the annotation of the initial events' end); for ERROR a Status. */
  object: KubeObject | Status;
  /** `{"type":…,"object":…}` and a newline. */
  readonly bytes: Buffer;
}

/**
 * Batches of events, as they come. It ends by the signal, by the timeout (after a last bookmark), or after an ERROR
 * event (410 Expired: the watcher was too slow, or asked for what is long past).
 */
export type WatchStream = AsyncIterable<readonly ServedEvent[]>;

/** The operations. Each answers only once what it says is on disk. Who calls one has come through the door. */
export interface Pipeline {
  /** Asked at the door. */
  readonly policy: Policy;
  readonly resources: Resources;
  /** The newest resourceVersion that is on disk. */
  readonly resourceVersion: string;
  get(request: NamedRequest): Promise<StoredObject>;
  list(request: ListRequest): Promise<ListResultPage>;
  watch(request: WatchRequest): WatchStream;
  create(request: RequestInfo, object: unknown, options: WriteOptions): Promise<Result>;
  update(request: NamedRequest, object: unknown, options: WriteOptions): Promise<Result>;
  patch(request: NamedRequest, patch: Patch, options: WriteOptions): Promise<Result>;
  delete(request: NamedRequest, deletion: DeleteOptions): Promise<DeleteResult>;
  /** Deletes all that the selectors choose; answers what was chosen. */
  deleteCollection(request: ListRequest, deletion: DeleteOptions): Promise<ListResultPage>;
}
