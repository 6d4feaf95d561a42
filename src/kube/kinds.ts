import { findKind } from '../api/find-kind.ts';
import type { Kind, KindReference } from '../api/kind.ts';
import type { Key, KubeObject } from '../api/meta.ts';
import { ApiError } from '../api/status.ts';
import type { Client } from './client.ts';

/** What was found stays true for so long; what was not may be there after the other. */
const foundMs = 60_000;
const missingMs = 1_000;

/**
 * Turns references into kinds: ours are known by heart, all others are what the server says that it has. Kinds that
 * nobody ever asked for cost nothing; one that is not there has the server asked once a second, however many ask.
 */
export function kindFinder(
  discover: () => Promise<readonly Kind[]>,
  monotonic: () => number = () => performance.now(),
): Client['kindOf'] {
  let served: Promise<readonly Kind[]> = Promise.resolve([]);
  let askedMs = Number.NEGATIVE_INFINITY;
  const ask = () => {
    askedMs = monotonic();
    served = discover();
    served.catch(() => {
      askedMs = Number.NEGATIVE_INFINITY; // Who waits for it is told; whoever comes next asks again.
    });
    return served;
  };
  return async (reference) => {
    const known = findKind(reference);
    if (known) return known;
    if (monotonic() - askedMs >= foundMs) return findKind(reference, await ask());
    const found = findKind(reference, await served);
    return found || monotonic() - askedMs < missingMs ? found : findKind(reference, await ask());
  };
}

/** Enough to get, list, watch and delete it. */
export const isKind = (reference: Kind | KindReference): reference is Kind => 'plural' in reference;

/** The key that an object of the kind has: in a namespace or in none. */
export const keyFor = (kind: Pick<Kind, 'isNamespaced'>, { namespace, name }: Key): Key =>
  kind.isNamespaced && namespace !== undefined ? { namespace, name } : { name };

/** The object of whatever kind; undefined also when the server does not know the kind (now): it may come. */
export async function getIfServed(
  client: Client,
  reference: Kind | KindReference,
  key: Key,
): Promise<KubeObject | undefined> {
  const kind = isKind(reference) ? reference : await client.kindOf(reference);
  if (!kind) return undefined;
  try {
    return await client.get(kind, keyFor(kind, key));
  } catch (error) {
    if (error instanceof ApiError && error.code === 404) return undefined;
    throw error;
  }
}
