import type { Kind } from '../../src/api/kind.ts';
import type { KubeObject } from '../../src/api/meta.ts';
import { ApiError } from '../../src/api/status.ts';
import type { Client, WatchEvent, WatchOptions } from '../../src/kube/client.ts';
import type { Simulation } from './simulation.ts';

/** A client over a line that can be cut for good. */
export interface Line {
  client: Client;
  cut(): void;
}

/**
 * The client of a process that is killed when the line is cut: nothing is sent, and nothing ever comes back. Until then
 * it has what a network and a server do to it: requests take time, are refused, or are carried out and the answer is
 * lost; watches break off, and have to begin anew.
 */
export function faultyLine(simulation: Simulation, inner: Client): Line {
  let isCut = false;
  const never = () => new Promise<never>(() => {});
  const call = async <T>(request: () => Promise<T>): Promise<T> => {
    if (isCut) return never();
    await simulation.sleep(simulation.random.between(0, 5));
    if (isCut) return never();
    if (simulation.fault(0.03)) throw unavailable('the request was not sent');
    const result = await request();
    if (isCut) return never();
    if (simulation.fault(0.02)) throw unavailable('the answer was lost');
    return result;
  };
  async function* watched<T extends KubeObject>(kind: Kind<T>, options: WatchOptions): AsyncGenerator<WatchEvent<T>> {
    if (isCut) return await never();
    if (simulation.fault(0.05)) throw unavailable('the watch was refused');
    if (options.resourceVersion !== undefined && simulation.fault(0.3)) throw new ApiError(410, 'Expired', 'too old');
    for await (const event of inner.watch(kind, options)) {
      if (isCut) return await never();
      yield event;
      if (simulation.fault(0.005)) throw unavailable('the watch broke off');
    }
  }
  return {
    client: { ...wrapped(inner, call), watch: watched },
    cut() {
      isCut = true;
    },
  };
}

/** The client of a process that lives on when the line is cut: what is under way fails. */
export function plainLine(inner: Client): Line {
  const cut = Promise.withResolvers<never>();
  cut.promise.catch(() => {}); // There may be nothing under way.
  return {
    client: { ...wrapped(inner, (request) => Promise.race([request(), cut.promise])), watch: inner.watch },
    cut: () => cut.reject(unavailable('the server was killed')),
  };
}

function wrapped(inner: Client, call: <T>(request: () => Promise<T>) => Promise<T>): Omit<Client, 'watch'> {
  return {
    kindOf: (reference) => call(() => inner.kindOf(reference)),
    get: (kind, key) => call(() => inner.get(kind, key)),
    list: (kind, options) => call(() => inner.list(kind, options)),
    create: (kind, object) => call(() => inner.create(kind, object)),
    createOn: (...given) => call(() => inner.createOn(...given)),
    update: (kind, object, subresource) => call(() => inner.update(kind, object, subresource)),
    patch: (kind, key, patch, subresource) => call(() => inner.patch(kind, key, patch, subresource)),
    scale: (kind, key, replicas) => call(() => inner.scale(kind, key, replicas)),
    delete: (kind, key, options) => call(() => inner.delete(kind, key, options)),
  };
}

const unavailable = (message: string) => new ApiError(503, 'ServiceUnavailable', message);
