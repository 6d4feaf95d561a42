import { apiVersionOf, type Kind } from '../../api/kind.ts';
import type { Key, KubeObject } from '../../api/meta.ts';
import { initialEventsEnd } from '../../api/meta.ts';
import { ApiError, apiErrorOf, isNotFound, type Status } from '../../api/status.ts';
import type { UserInfo } from '../../api/user.ts';
import type {
  Client,
  DeleteOptions,
  ListOptions,
  ListResult,
  Patch,
  UpdateSubresource,
  WatchEvent,
  WatchOptions,
} from '../../kube/client.ts';
import type { Logger } from '../../observe/log.ts';
import { authorize } from './authorize.ts';
import type { NamedRequest, RequestInfo, Verb } from './request-info.ts';
import type { Pipeline, Result, ServedEvent, ServedResource } from './resources.ts';

export interface InProcessClientOptions {
  pipeline: Pipeline;
  /** As whom it acts. */
  user: UserInfo;
  log: Logger;
}

/** A Client in this process: the same door and the same pipeline as over HTTP, without sockets or copies. */
export function inProcessClient({ pipeline, user, log }: InProcessClientOptions): Client {
  const written = { fieldManager: user.name };
  const resourceOf = (kind: Kind): ServedResource => {
    const resource = pipeline.resources.find(kind.group, kind.version, kind.plural);
    if (resource) return resource;
    const message = `the server could not find the requested resource: ${kind.plural} of ${apiVersionOf(kind)}`;
    throw new ApiError(404, 'NotFound', message);
  };
  const allowed = <T extends RequestInfo>(request: T): T => {
    authorize(pipeline.policy, request);
    return request;
  };
  const about = (verb: Verb, kind: Kind, { namespace, name }: Key, subresource?: string): NamedRequest =>
    allowed({ user, verb, resource: resourceOf(kind), namespace, name, subresource });
  const objectOf = <T extends KubeObject>({ stored, warnings }: Result): T => {
    const { kind, metadata } = stored.object;
    for (const warning of warnings) log.warn({ kind, name: metadata.name, warning }, 'a controller wrote what is odd');
    return stored.object as T;
  };

  return {
    async kindOf({ group, version, kind: name }) {
      authorize(pipeline.policy, { user, verb: 'get', path: '/apis' });
      // In their order of priority.
      const versions = pipeline.resources.all().filter(({ kind }) => kind.group === group && kind.kind === name);
      return versions.find(({ kind }) => version === undefined || kind.version === version)?.kind;
    },

    async get<T extends KubeObject>(kind: Kind<T>, key: Key) {
      const request = about('get', kind as Kind, key);
      try {
        return (await pipeline.get(request)).object as T;
      } catch (error) {
        if (isNotFound(error)) return undefined;
        throw error;
      }
    },

    async list<T extends KubeObject>(kind: Kind<T>, selection: ListOptions = {}): Promise<ListResult<T>> {
      const request = { user, verb: 'list' as const, resource: resourceOf(kind as Kind), ...selection };
      const page = await pipeline.list(allowed(request));
      return { items: page.items.map((stored) => stored.object as T), resourceVersion: page.resourceVersion };
    },

    watch<T extends KubeObject>(kind: Kind<T>, watchOptions: WatchOptions) {
      return watch<T>(pipeline, allowed({ user, verb: 'watch', resource: resourceOf(kind as Kind), ...watchOptions }));
    },

    async create<T extends KubeObject>(kind: Kind<T>, object: T) {
      const { namespace } = object.metadata;
      const request = allowed({ user, verb: 'create', resource: resourceOf(kind as Kind), namespace });
      return objectOf<T>(await pipeline.create(request, object, written));
    },

    async createOn(kind, key, subresource, object) {
      return objectOf(await pipeline.create(about('create', kind, key, subresource), object, written));
    },

    async update<T extends KubeObject>(kind: Kind<T>, object: T, subresource?: UpdateSubresource) {
      const request = about('update', kind as Kind, object.metadata, subresource);
      return objectOf<T>(await pipeline.update(request, object, written));
    },

    async patch<T extends KubeObject>(kind: Kind<T>, key: Key, patch: Patch, subresource?: 'status' | 'scale') {
      return objectOf<T>(await pipeline.patch(about('patch', kind as Kind, key, subresource), patch, written));
    },

    async scale(kind, key, replicas) {
      const patch: Patch = { type: 'merge', patch: { spec: { replicas } } };
      await pipeline.patch(about('patch', kind, key, 'scale'), patch, written);
    },

    async delete(kind, key, deletion: DeleteOptions = {}) {
      const request = about('delete', kind, key);
      try {
        await pipeline.delete(request, deletion);
      } catch (error) {
        if (!isNotFound(error)) throw error; // Gone is what was asked for.
      }
    },
  };
}

async function* watch<T extends KubeObject>(
  pipeline: Pipeline,
  asked: RequestInfo & WatchOptions,
): AsyncGenerator<WatchEvent<T>> {
  const { resourceVersion, ...rest } = asked;
  const start = resourceVersion
    ? { resourceVersion }
    : { sendInitialEvents: true, resourceVersionMatch: 'NotOlderThan' };
  const always = { allowWatchBookmarks: true, timeoutSeconds: Number.POSITIVE_INFINITY };
  for await (const batch of pipeline.watch({ ...always, ...rest, ...start })) {
    for (const event of batch) yield watchEvent<T>(event);
  }
}

function watchEvent<T extends KubeObject>({ type, object }: ServedEvent): WatchEvent<T> {
  if (type === 'ERROR') throw apiErrorOf(object as Status);
  const known = object as T;
  if (type !== 'BOOKMARK') return { type, object: known };
  const { resourceVersion = '', annotations } = known.metadata;
  return { type, resourceVersion, isInitialEnd: annotations?.[initialEventsEnd] === 'true' };
}
