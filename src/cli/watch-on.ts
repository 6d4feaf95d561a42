import { setTimeout } from 'node:timers/promises';
import type { Kind } from '../api/kind.ts';
import type { KubeObject } from '../api/meta.ts';
import type { Client, WatchEvent, WatchOptions } from '../kube/client.ts';

/** A server that ends every watch at once is asked no more often than this. */
const againMs = 200;

/** A server ends each watch some time: the next one begins with what is there then. Ends when `signal` aborts. */
export async function* watchOn<T extends KubeObject>(
  client: Client,
  kind: Kind<T>,
  options: WatchOptions,
): AsyncGenerator<WatchEvent<T>> {
  const { signal } = options;
  while (!signal.aborted) {
    yield* client.watch(kind, options);
    await setTimeout(againMs, undefined, { signal }).catch(() => {}); // Aborted: the loop's condition sees it.
  }
}
