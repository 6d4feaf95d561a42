import type { KubeObject } from '../../../../api/meta.ts';
import type { ServedEvent, WatchRequest } from '../../resources.ts';
import { breakOff, flag } from '../exchange.ts';
import type { Accepted } from '../media-type.ts';
import { sliceBytes, writeSlices } from '../respond.ts';
import { partial, renderTable } from '../table/render.ts';
import { numberOf, type ResourceRequest, selectors, tableOptions } from './resource-request.ts';

/** Streams events, one JSON object a line, until the client goes away, the timeout passes, or the server stops. */
export async function watchResource(request: ResourceRequest, accept: Accepted): Promise<void> {
  const { exchange, pipeline } = request;
  const events = pipeline.watch(watchRequest(request)); // What is wrong with the request throws here.
  const encode = accept.shape === 'object' ? (event: ServedEvent) => event.bytes : shapedEncoder(request, accept);
  const { response } = exchange;
  // The client must know at once that the watch stands, not with the first event.
  response.writeHead(200, { 'content-type': 'application/json' });
  response.flushHeaders();
  for await (const batch of events) {
    for (const bytes of gathered(batch, encode)) {
      if (await writeSlices(exchange, bytes, exchange.limits.stalledMs)) continue;
      breakOff(exchange); // It takes nothing any more, or is gone already.
      return;
    }
  }
  response.end();
}

/** The bytes of all events, small ones together. */
function* gathered(batch: readonly ServedEvent[], encode: (event: ServedEvent) => Buffer): Generator<Buffer> {
  let waiting: Buffer[] = [];
  let size = 0;
  for (const event of batch) {
    const bytes = encode(event);
    if (size > 0 && size + bytes.length > sliceBytes) {
      yield Buffer.concat(waiting, size);
      waiting = [];
      size = 0;
    }
    if (bytes.length > sliceBytes) yield bytes;
    else {
      waiting.push(bytes);
      size += bytes.length;
    }
  }
  if (size > 0) yield Buffer.concat(waiting, size);
}

function watchRequest({ exchange, info }: ResourceRequest): WatchRequest {
  const { query, signal } = exchange;
  const initial = query.get('sendInitialEvents');
  return {
    ...info,
    ...selectors(query),
    resourceVersion: query.get('resourceVersion') ?? undefined,
    resourceVersionMatch: query.get('resourceVersionMatch') ?? undefined,
    sendInitialEvents: initial === null ? undefined : flag(query, 'sendInitialEvents'),
    allowWatchBookmarks: flag(query, 'allowWatchBookmarks'),
    timeoutSeconds: numberOf(query, 'timeoutSeconds') || undefined,
    signal,
  };
}

/** Events as tables of one row, or as metadata only. */
function shapedEncoder(request: ResourceRequest, accept: Accepted): (event: ServedEvent) => Buffer {
  let hasHeader = true;
  const options = tableOptions(request, accept);
  return (event) => {
    if (event.type === 'ERROR') return event.bytes;
    const object = event.object as KubeObject;
    if (accept.shape === 'PartialObjectMetadata') return line(event.type, partial(object, accept.version));
    const metadata = { resourceVersion: object.metadata.resourceVersion ?? '' };
    const rows = event.type === 'BOOKMARK' ? [] : [object];
    const table = renderTable(rows, metadata, { ...options, nowMs: request.now(), hasHeader });
    hasHeader = false;
    return line(event.type, table);
  };
}

const line = (type: string, object: object) => Buffer.from(`${JSON.stringify({ type, object })}\n`);
