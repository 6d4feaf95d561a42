import { apiVersionOf, type Kind } from '../../api/kind.ts';
import { type KubeObject, keyOf } from '../../api/meta.ts';
import { ApiError } from '../../api/status.ts';
import {
  type Client,
  type ListOptions,
  type ListResult,
  type Patch,
  patchTypes,
  type UpdateSubresource,
} from '../client.ts';
import { kindFinder } from '../kinds.ts';
import { type Connection, readKubeconfig } from './connection.ts';
import { discover } from './discovery.ts';
import { collectionPath, objectPath, withQuery } from './paths.ts';

import { type ApiRequest, Transport } from './transport.ts';
import { watch } from './watch.ts';

/** Who we are in managedFields. */
const fieldManager = 'kittiwake';
/** How many objects of a list come in one reply. */
const pageSize = 500;

export interface WriteOptions {
  /** `Strict`, for what people write, refuses fields that the server does not know; otherwise it drops and warns. */
  fieldValidation?: 'Strict';
}

/** Where the server is, and who we are there; a function is asked again when that may have changed. */
export type ServerOptions = { kubeconfigPath: string; context?: string } | Connection | (() => Promise<Connection>);

interface WireList<T> {
  metadata: { resourceVersion: string; continue?: string };
  items: T[] | null;
}

/**
 * The Client for any Kubernetes API server over HTTP. Nothing is connected before the first request. Failures are
 * ApiError when the server answered, KittiwakeError API_UNREACHABLE when it did not.
 */
export function httpClient(options: ServerOptions, { fieldValidation }: WriteOptions = {}): Client {
  const transport = httpTransport(options);

  const ask = async <T extends KubeObject>(request: ApiRequest): Promise<T> =>
    objectIn<T>(await transport.json(request), `the answer to ${request.method} ${request.path}`);

  async function list<T extends KubeObject>(kind: Kind<T>, listOptions: ListOptions = {}): Promise<ListResult<T>> {
    const items: T[] = [];
    let page: string | undefined;
    for (;;) {
      const parameters = { limit: String(pageSize), continue: page };
      const path = withQuery(collectionPath(kind, listOptions.namespace), listOptions, parameters);
      const reply = (await transport.json({ method: 'GET', path })) as WireList<T> | null;
      if (typeof reply?.metadata?.resourceVersion !== 'string') throw new Error(`the answer to GET ${path} is no list`);
      for (const item of reply.items ?? []) items.push(withType(kind, objectIn<T>(item, `an item of GET ${path}`)));
      const { resourceVersion, continue: next } = reply.metadata;
      if (!next) return { items, resourceVersion };
      if (next === page) throw new Error(`the answer to GET ${path} continues with itself`);
      page = next;
    }
  }

  return {
    kindOf: kindFinder(() => discover(transport)),
    list,
    watch: (kind, watchOptions) => watch(transport, kind, watchOptions, () => list(kind, watchOptions)),

    async get<T extends KubeObject>(kind: Kind<T>, key: { namespace?: string; name: string }) {
      try {
        return await ask<T>({ method: 'GET', path: objectPath(kind, key) });
      } catch (error) {
        if (isObjectMissing(error)) return undefined;
        throw error;
      }
    },

    async create<T extends KubeObject>(kind: Kind<T>, object: T) {
      const path = withQuery(collectionPath(kind, object.metadata.namespace), {}, { fieldManager, fieldValidation });
      return ask<T>({ method: 'POST', path, body: withType(kind, object) });
    },

    async createOn(kind, key, subresource, object) {
      const path = withQuery(objectPath(kind, key, subresource), {}, { fieldManager, fieldValidation });
      return ask({ method: 'POST', path, body: object });
    },

    async update<T extends KubeObject>(kind: Kind<T>, object: T, subresource?: UpdateSubresource) {
      const path = withQuery(objectPath(kind, keyOf(object), subresource), {}, { fieldManager, fieldValidation });
      return ask<T>({ method: 'PUT', path, body: withType(kind, object) });
    },

    async patch<T extends KubeObject>(
      kind: Kind<T>,
      key: { namespace?: string; name: string },
      patch: Patch,
      subresource?: 'status' | 'scale',
    ) {
      const isApply = patch.type === 'apply';
      const path = withQuery(
        objectPath(kind, key, subresource),
        {},
        {
          fieldValidation,
          fieldManager: isApply ? patch.fieldManager : fieldManager,
          force: isApply && patch.force ? 'true' : undefined,
        },
      );
      const body = patch.type === 'json' ? patch.operations : patch.patch;
      return ask<T>({ method: 'PATCH', path, body, contentType: patchTypes[patch.type] });
    },

    async scale(kind, key, replicas) {
      const path = withQuery(objectPath(kind, key, 'scale'), {}, { fieldManager });
      await transport.json({ method: 'PATCH', path, body: { spec: { replicas } }, contentType: patchTypes.merge });
    },

    async delete(kind, key, deleteOptions = {}) {
      const body = { kind: 'DeleteOptions', apiVersion: 'v1', ...deleteOptions };
      try {
        await transport.json({ method: 'DELETE', path: objectPath(kind, key), body });
      } catch (error) {
        if (!isObjectMissing(error)) throw error;
      }
    },
  };
}

/** Plain requests to an API server, for what the Client does not offer: Tables, logs. */
export function httpTransport(options: ServerOptions): Transport {
  if (typeof options === 'function') return new Transport(options);
  return new Transport(() =>
    'server' in options ? Promise.resolve(options) : readKubeconfig(options.kubeconfigPath, options.context),
  );
}

/** What the server sent as an object, which may be anything; `what` names it when it is none. */
function objectIn<T extends KubeObject>(value: unknown, what: string): T {
  const { metadata } = (value ?? {}) as { metadata?: unknown };
  if (typeof metadata !== 'object' || metadata === null) throw new Error(`${what} is no object: it has no metadata`);
  return value as T;
}

/** Lists of built-in kinds leave out what kind their items are. */
function withType<T extends KubeObject>(kind: Kind<T>, object: T): T {
  if (object.kind && object.apiVersion) return object;
  return { ...object, apiVersion: apiVersionOf(kind), kind: kind.kind };
}

/** The object is not there; a resource that the server does not know is another matter, and names no object. */
function isObjectMissing(error: unknown): boolean {
  return error instanceof ApiError && error.code === 404 && error.details.name !== undefined;
}
