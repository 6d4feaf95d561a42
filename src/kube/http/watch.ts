import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/meta.ts';
import { initialEventsEnd } from '../../api/meta.ts';
import { ApiError, apiErrorOf, type Status } from '../../api/status.ts';
import type { ListResult, WatchEvent, WatchOptions } from '../client.ts';
import { lines } from './lines.ts';
import { collectionPath, withQuery } from './paths.ts';
import type { Transport } from './transport.ts';

/** A watch is asked anew after five to ten minutes, as client-go does: a connection that died unseen does not stay. */
const timeoutMinSeconds = 300;
/** How long after its own timeout a silent watch is given up. */
const silenceSlackMs = 30_000;

interface WireEvent {
  type: string;
  object: KubeObject;
}

/**
 * The Client's watch over HTTP: a streaming list (`sendInitialEvents`) when the server can, else a list and then a
 * watch from its version. Ends without an error when the server ends it or `options.signal` aborts.
 */
export async function* watch<T extends KubeObject>(
  transport: Transport,
  kind: Kind<T>,
  options: WatchOptions,
  list: () => Promise<ListResult<T>>,
): AsyncGenerator<WatchEvent<T>> {
  if (options.signal.aborted) return;
  try {
    if (options.resourceVersion !== undefined) {
      yield* events(transport, kind, options, { resourceVersion: options.resourceVersion });
      return;
    }
    const initial = { sendInitialEvents: 'true', resourceVersionMatch: 'NotOlderThan' };
    let isRefused = false;
    try {
      yield* events(transport, kind, options, initial);
    } catch (error) {
      isRefused = error instanceof ApiError && (error.code === 422 || error.code === 400);
      if (!isRefused) throw error;
    }
    if (!isRefused) return;
    const { items, resourceVersion } = await list();
    for (const object of items) yield { type: 'ADDED', object };
    yield { type: 'BOOKMARK', resourceVersion, isInitialEnd: true };
    yield* events(transport, kind, options, { resourceVersion });
  } catch (error) {
    if (!options.signal.aborted) throw error;
  }
}

async function* events<T extends KubeObject>(
  transport: Transport,
  kind: Kind<T>,
  options: WatchOptions,
  parameters: Record<string, string>,
): AsyncGenerator<WatchEvent<T>> {
  const timeoutSeconds = Math.round(timeoutMinSeconds * (1 + Math.random()));
  const path = withQuery(collectionPath(kind, options.namespace), options, {
    watch: 'true',
    allowWatchBookmarks: 'true',
    timeoutSeconds: String(timeoutSeconds),
    ...parameters,
  });
  const silenceMs = timeoutSeconds * 1000 + silenceSlackMs;
  const response = await transport.stream({ method: 'GET', path, signal: options.signal }, { silenceMs });
  try {
    for await (const line of lines(response)) yield eventOf<T>(parse(line));
  } finally {
    response.destroy();
  }
}

/** A line that is cut off, or was never an event, ends the watch: what was in it is asked for again. */
function parse(line: string): WireEvent {
  try {
    const event = JSON.parse(line) as WireEvent | null;
    const metadata: unknown = event?.object?.metadata;
    if (event && ((typeof metadata === 'object' && metadata !== null) || event.type === 'ERROR')) return event;
  } catch {
    // Said below, as for what is JSON and no event.
  }
  throw new Error(`the server sent what is no watch event, or only a part of one: ${line.slice(0, 200)}`);
}

function eventOf<T extends KubeObject>({ type, object }: WireEvent): WatchEvent<T> {
  if (type === 'ERROR') throw apiErrorOf(object as unknown as Status);
  if (type === 'BOOKMARK') {
    const { resourceVersion = '', annotations } = object.metadata;
    return { type, resourceVersion, isInitialEnd: annotations?.[initialEventsEnd] === 'true' };
  }
  if (type === 'ADDED' || type === 'MODIFIED' || type === 'DELETED') return { type, object: object as T };
  throw new Error(`the server sent a watch event of unknown type ${type}`);
}
