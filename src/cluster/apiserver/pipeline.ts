import type { DeleteOptions, Patch } from '../../kube/client.ts';
import { StoredObject } from '../store/stored-object.ts';
import type { Policy } from './authorize.ts';
import { getComputed, listComputed } from './computed.ts';
import { create } from './create.ts';
import { remove, removeEach } from './delete.ts';
import type { Machinery } from './machinery.ts';
import { applyPatch } from './patch/apply-patch.ts';
import { get, list } from './read.ts';
import type { NamedRequest, RequestInfo } from './request-info.ts';
import type {
  DeleteResult,
  ListRequest,
  ListResultPage,
  Pipeline,
  Resources,
  Result,
  WatchRequest,
  WatchStream,
  WriteOptions,
} from './resources.ts';
import { notAllowed, requireOffered } from './served-resource.ts';
import { change, update } from './update.ts';
import { watch } from './watch.ts';

/** The one way to read and write the cluster's state, for the HTTP listener and the in-process Client alike. */
export class RequestPipeline implements Pipeline {
  readonly #machinery: Machinery;

  constructor(machinery: Machinery) {
    this.#machinery = machinery;
  }

  get resources(): Resources {
    return this.#machinery.registry;
  }

  get policy(): Policy {
    return this.#machinery.policy;
  }

  get resourceVersion(): string {
    return String(this.#machinery.store.revision);
  }

  async get(request: NamedRequest): Promise<StoredObject> {
    const { compute } = request.resource.strategy;
    if (compute && !requireOffered(request)) return getComputed(this.#machinery, request, compute);
    return get(this.#machinery, request);
  }

  async list(request: ListRequest): Promise<ListResultPage> {
    if (requireOffered(request)) throw notAllowed();
    const { compute } = request.resource.strategy;
    if (compute) return listComputed(this.#machinery, request, compute);
    return list(this.#machinery, request);
  }

  watch(request: WatchRequest): WatchStream {
    if (requireOffered(request)) throw notAllowed();
    return watch(this.#machinery, request);
  }

  async create(request: RequestInfo, object: unknown, options: WriteOptions): Promise<Result> {
    const does = requireOffered(request) ?? request.resource.strategy.action;
    if (does?.type === 'action') {
      const answer = await does.run(object, { ...request, name: request.name ?? '' }, this);
      return { stored: new StoredObject(answer, 0), warnings: [] };
    }
    if (does) throw notAllowed();
    return this.#told(create(this.#machinery, request, object, options));
  }

  update(request: NamedRequest, object: unknown, options: WriteOptions): Promise<Result> {
    return this.#told(update(this.#machinery, request, object, options));
  }

  async patch(request: NamedRequest, patch: Patch, options: WriteOptions): Promise<Result> {
    // What would create an absent object must not be answered with its absence.
    if (patch.type === 'apply') applyPatch(request.resource, undefined, patch);
    const produce = (current: unknown) => applyPatch(request.resource, current, patch);
    return await this.#told(change(this.#machinery, request, produce, options));
  }

  delete(request: NamedRequest, deletion: DeleteOptions): Promise<DeleteResult> {
    return this.#told(remove(this.#machinery, request, deletion));
  }

  /**
   * A write is decided against what waits for the disk, too. Whoever is refused for its sake hears of it when it can be
   * read: before, reading again would show what was read already, and a client that then tries again at once would go
   * round without ever letting the event loop turn, which alone brings the write to its end.
   */
  async #told<T>(write: Promise<T>): Promise<T> {
    try {
      return await write;
    } catch (error) {
      await this.#machinery.store.settled().catch(() => {}); // Its writer is told of its failure.
      await new Promise((resolve) => setImmediate(resolve));
      throw error;
    }
  }

  async deleteCollection(request: ListRequest, deletion: DeleteOptions): Promise<ListResultPage> {
    const page = await this.list(request);
    const { dryRun, resource, user, verb } = request;
    await removeEach(page.items, ({ object: { metadata } }) => {
      const { namespace, name } = metadata;
      return remove(this.#machinery, { user, verb, resource, namespace, name, dryRun }, deletion);
    });
    return page;
  }
}
