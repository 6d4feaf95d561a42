import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import type { UserInfo } from '../../../api/user.ts';
import type { Clock } from '../../../lib/clock.ts';
import type { Limits } from './limits.ts';
import { parseMediaType } from './media-type.ts';

/** One request and its answer, with what is known of the client. */
export interface Exchange {
  request: IncomingMessage;
  response: ServerResponse;
  method: string;
  path: string;
  query: URLSearchParams;
  user: UserInfo;
  /** Aborts when the client goes away before the answer is complete, and when the server stops. */
  signal: AbortSignal;
  clock: Clock;
  limits: Limits;
  /** What the bodies of all requests hold at this moment. */
  bodies: { heldBytes: number };
}

/** Whether a boolean parameter is set: `?watch=true`, `?watch=1`, `?watch`. */
export function flag(query: URLSearchParams, name: string): boolean {
  const value = query.get(name);
  return value !== null && !['false', '0', 'f', 'False', 'FALSE', 'F'].includes(value);
}

export const contentTypeOf = (exchange: Exchange): string =>
  parseMediaType(exchange.request.headers['content-type'] ?? 'application/json').type;

/** The HTTP/2 stream that carries the exchange; undefined on HTTP/1.1. */
const streamOf = ({ response }: Exchange): ServerHttp2Stream | undefined =>
  (response as unknown as { stream?: ServerHttp2Stream }).stream;

const socketOf = ({ request }: Exchange): Socket | null => request.socket as Socket | null;

/** Whether nothing can be answered any more. */
export function isGone(exchange: Exchange): boolean {
  const { request, response } = exchange;
  // Node takes the socket from a request that is answered.
  if (request.httpVersionMajor === 1) return response.destroyed || (socketOf(exchange)?.destroyed ?? true);
  return streamOf(exchange)?.destroyed ?? true;
}

/** Ends the exchange at once, and on HTTP/1.1 its connection. */
export function breakOff(exchange: Exchange): void {
  if (exchange.request.httpVersionMajor === 1) socketOf(exchange)?.destroy();
  else streamOf(exchange)?.close(cancelled);
}

/** CANCEL of HTTP/2. */
const cancelled = 8;
