import type { IncomingHttpHeaders } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/meta.ts';
import type { DeleteOptions } from '../../kube/client.ts';
import type { ResourceRequest } from './http/handlers/resource-request.ts';
import type { Column } from './http/table/column.ts';
import type { Machinery } from './machinery.ts';
import type { NamedRequest, RequestInfo, Target, Verb } from './request-info.ts';
import type { Pipeline } from './resources.ts';

/**
 * A resource: its Kind, and what it does beyond it. Nothing else in the API server knows resources by name: operations,
 * routes, discovery and OpenAPI follow from these data, and what is left out is as with any other resource.
 */
export interface Strategy<T extends KubeObject = KubeObject> {
  kind: Kind<T>;
  /** What it does instead of being stored: `create` is all that it offers. */
  action?: Action;
  /** Its objects are worked out when they are read, and never stored: those of a namespace, or all. */
  compute?(machinery: Machinery, target: Target): Promise<KubeObject[]>;
  /** Fields that field selectors may name besides name and namespace, each with what an absent one is compared as. */
  selectableFields?: Readonly<Record<string, string>>;
  /** Its objects are namespaces. */
  isNamespace?: boolean;
  /** What `kubectl get` shows, where the columns that the kind declares are not enough. */
  columns?: readonly Column[];
  /** A deletion answers with the object instead of a Status that names it. */
  returnsDeleted?: boolean;

  /** Throws when none can be made at `target` now. Asked twice: admission may take its time. */
  requireCreatable?(machinery: Machinery, target: Target, name: string): void;
  /** What the server alone says of a new object: after defaults, before admission. Changes `object`. */
  prepareForCreate?(object: T, request: RequestInfo): void;
  /** What counts as a new generation when it changes, where that is not the whole spec. */
  wishOf?(object: T): unknown;
  /** What an update of the whole object cannot change: it is put back as it was. Changes `object`. */
  prepareForUpdate?(object: T, old: T, request: NamedRequest): void;
  /**
   * Gives the object what there is only once: in the same turn of the event loop as the write, after all else. `old` is
   * the stored object, on update. Changes `object`. Throws when there is nothing left, or what it names is another's.
   */
  allocate?(machinery: Machinery, object: T, old: T | undefined): void;
  /** How the object looks while it is being deleted; throws when it may not be. Changes `object`, which is a copy. */
  prepareForDelete?(object: T, request: NamedRequest): void;
  /** For how many seconds it may go on when it is to be deleted; none unless given. */
  graceOf?(object: T, deletion: DeleteOptions): number;
  /** What keeps it from being deleted besides `metadata.finalizers`. */
  finalizersOf?(object: T): readonly string[];

  /** Work that goes on beside the requests, as long as the server runs. */
  upkeep?(machinery: Machinery, pipeline: Pipeline): Upkeep;
  /** Besides `status` and `scale`, which a Kind declares. */
  subresources?: Readonly<Record<string, Subresource<T>>>;
}

export interface Upkeep {
  /** Resolves when what was there at the call has been seen to. */
  settled?(): Promise<void>;
  stop(): void | Promise<void>;
}

export type Subresource<T extends KubeObject = KubeObject> = Field | View<T> | Action | Stream;

interface Offered {
  /** Others are refused with 405. */
  verbs: readonly Verb[];
  /** What is sent and answered: objects of the resource's own kind unless given. */
  kind?: Pick<Kind, 'group' | 'version' | 'kind' | 'schema'>;
}

/** One field of the object: a write through it changes nothing else, and only the field is checked. */
export interface Field extends Offered {
  type: 'field';
  field: 'spec' | 'status';
}

/** An object of another kind, in which some of this one is read and written: a write is one of the whole object. */
export interface View<T extends KubeObject = KubeObject> extends Offered {
  type: 'view';
  of(object: T): KubeObject;
  /** What the client sent. Throws ApiError. */
  decode(body: unknown, name: string): KubeObject;
  /** A copy of `object` with what `view` says. */
  put(object: T, view: KubeObject): T;
}

/** Something that is done: a review, binding, eviction, token. What it writes goes through `pipeline`. */
export interface Action extends Offered {
  type: 'action';
  verbs: readonly ['create'];
  run(body: unknown, request: NamedRequest, pipeline: Pipeline): Promise<KubeObject>;
}

/** What answers HTTP in its own way and for as long as it likes: log, exec, attach, portforward. */
export interface Stream extends Offered {
  type: 'stream';
  serve(request: ResourceRequest): Promise<void>;
  /**
   * Takes over a connection on which the client asks for another protocol, and resolves when it has ended. What it
   * throws before it has written anything is told. Without it such a request is refused.
   */
  upgrade?(request: RequestInfo, connection: Upgrade, pipeline: Pipeline): Promise<void>;
}

/** A connection that HTTP has let go of: what is written first is the answer, `101 Switching Protocols` or another. */
export interface Upgrade {
  query: URLSearchParams;
  headers: IncomingHttpHeaders;
  socket: Duplex;
  /** What the client sent after its request. */
  head: Buffer;
}
