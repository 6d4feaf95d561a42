import type { RequestHead } from './http1/request-head.ts';

/** What a request is called when it is suspected: not by its query, which tells nothing of the code that it runs. */
export function workOf({ method, host, target }: RequestHead): string {
  const query = target.indexOf('?');
  return `${method} ${host} ${query === -1 ? target : target.slice(0, query)}`;
}
