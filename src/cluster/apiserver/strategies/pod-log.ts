import type { Pod } from '../../../api/core/pod.ts';
import { ApiError, badRequest } from '../../../api/status.ts';
import type { LogOptions, PodLogs } from '../../pod-logs.ts';
import { type Exchange, flag, isGone } from '../http/exchange.ts';
import { named, numberOf, type ResourceRequest } from '../http/handlers/resource-request.ts';
import { writeSlices } from '../http/respond.ts';
import { containerOf } from './pod-container.ts';

/** `GET …/pods/NAME/log`: plain text, sent on as it comes. */
export async function servePodLog(request: ResourceRequest, podLogs: PodLogs | undefined): Promise<void> {
  const { exchange, pipeline } = request;
  const { object } = await pipeline.get({ ...named(request), subresource: undefined });
  const pod = object as Pod;
  if (!podLogs)
    throw new ApiError(501, 'NotImplemented', 'this API server runs without a node agent: pods have no logs');
  const options = logOptions(exchange, containerOf(pod, exchange.query.get('container')));
  await stream(exchange, podLogs.read(pod, options), options);
}

/** Nobody hurries the reader: a person may well look at a page of it for an hour. */
async function stream(exchange: Exchange, chunks: AsyncIterable<Buffer>, { follow }: LogOptions): Promise<void> {
  const { response } = exchange;
  const start = () => {
    if (response.headersSent || isGone(exchange)) return;
    response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' });
    response.flushHeaders();
  };
  // Who follows a silent container must see that the stream stands.
  const soon = follow ? setImmediate(start) : undefined;
  try {
    for await (const chunk of chunks) {
      start();
      if (!(await writeSlices(exchange, chunk))) return;
    }
    start();
    response.end();
  } finally {
    clearImmediate(soon);
  }
}

function logOptions({ query, signal }: Exchange, container: string): LogOptions {
  const sinceSeconds = numberOf(query, 'sinceSeconds');
  const sinceTime = query.get('sinceTime') || undefined;
  const tailLines = numberOf(query, 'tailLines');
  const limitBytes = numberOf(query, 'limitBytes');
  if (sinceSeconds !== undefined && sinceTime !== undefined) {
    throw badRequest('at most one of sinceTime or sinceSeconds may be specified');
  }
  if (sinceSeconds !== undefined && sinceSeconds < 1)
    throw badRequest(`sinceSeconds is ${sinceSeconds}: it must be positive`);
  if (limitBytes !== undefined && limitBytes < 1) throw badRequest(`limitBytes is ${limitBytes}: it must be positive`);
  if (sinceTime !== undefined && Number.isNaN(Date.parse(sinceTime))) {
    throw badRequest(`sinceTime is "${sinceTime}": it must be a time such as 2026-01-02T03:04:05Z`);
  }
  return {
    container,
    follow: flag(query, 'follow'),
    previous: flag(query, 'previous'),
    timestamps: flag(query, 'timestamps'),
    sinceSeconds,
    sinceTime,
    tailLines,
    limitBytes,
    signal,
  };
}
