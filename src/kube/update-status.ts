import type { Kind } from '../api/kind.ts';
import type { KubeObject } from '../api/meta.ts';
import { sameJson } from '../lib/same-json.ts';
import type { ReconcileContext } from './reconciler.ts';

/**
 * Writes `status` of the reconciled object when it differs from what `object` has, and returns the object as stored.
 * A conflict is thrown: the reconcile is retried with the newer object.
 */
export async function updateStatus<T extends KubeObject & { status?: unknown }>(
  context: Pick<ReconcileContext, 'client' | 'kind'>,
  object: T,
  status: NonNullable<T['status']>,
): Promise<T> {
  if (sameJson(object.status ?? {}, status)) return object;
  return await context.client.update(context.kind as Kind<T>, { ...object, status }, 'status');
}
