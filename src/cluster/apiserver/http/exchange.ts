import type { IncomingMessage, ServerResponse } from 'node:http';
import { parseMediaType } from './media-type.ts';

/** One request and its answer, with what is known of the client. */
export interface Exchange {
  request: IncomingMessage;
  response: ServerResponse;
  method: string;
  path: string;
  query: URLSearchParams;
  user: User;
  /** Aborts when the client goes away before the answer is complete, and when the server stops. */
  signal: AbortSignal;
}

export interface User {
  name: string;
  groups: readonly string[];
}

/** Whether a boolean parameter is set: `?watch=true`, `?watch=1`, `?watch`. */
export function flag(query: URLSearchParams, name: string): boolean {
  const value = query.get(name);
  return value !== null && !['false', '0', 'f', 'False', 'FALSE', 'F'].includes(value);
}

export const contentTypeOf = (exchange: Exchange): string =>
  parseMediaType(exchange.request.headers['content-type'] ?? 'application/json').type;
