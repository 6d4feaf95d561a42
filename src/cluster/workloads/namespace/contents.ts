import type { Namespace } from '../../../api/core/namespace.ts';
import { PodKind } from '../../../api/core/pod.ts';
import { apiVersionOf, type Kind } from '../../../api/kind.ts';
import { type Condition, type Key, keyOf, timestamp } from '../../../api/meta.ts';
import { isNotFound } from '../../../api/status.ts';
import { dated } from '../../../kube/conditions.ts';
import type { ReconcileContext } from '../../../kube/reconciler.ts';
import { messageOf } from '../../../lib/errors.ts';

/** What is left in a namespace after one round of deleting. */
export interface Remains {
  /** One object of each resource that has some. */
  examples: { kind: Kind; key: Key }[];
  /** How many objects of each resource, for example `pods.` or `deployments.apps`. */
  counts: Map<string, number>;
  /** How many objects wait for each finalizer. */
  finalizers: Map<string, number>;
  errors: string[];
}

/**
 * Deletes everything of `kinds` in the namespace, and says what is still there. Pods go first, each with its own grace;
 * nothing else does before the last of them is gone (as in Kubernetes).
 */
export async function deleteContents(
  namespace: string,
  kinds: readonly Kind[],
  { client }: ReconcileContext,
): Promise<Remains> {
  const remains: Remains = { examples: [], counts: new Map(), finalizers: new Map(), errors: [] };
  const namespaced = kinds.filter((kind) => kind.isNamespaced);
  // What a pod needs until it has ended (its Secrets, its Service) goes only after it.
  await deleteAll(PodKind as Kind);
  if (remains.counts.size > 0 || remains.errors.length > 0) return remains;
  await Promise.all(
    namespaced.filter((kind) => kind.kind !== PodKind.kind || kind.group !== PodKind.group).map(deleteAll),
  );
  return remains;

  async function deleteAll(kind: Kind): Promise<void> {
    try {
      const { items } = await client.list(kind, { namespace });
      const pending = items.filter((item) => item.metadata.deletionTimestamp === undefined);
      await Promise.all(pending.map((item) => client.delete(kind, keyOf(item), { propagationPolicy: 'Background' })));
      const left = pending.length === 0 ? items : (await client.list(kind, { namespace })).items;
      const [first] = left;
      if (first) {
        remains.examples.push({ kind, key: keyOf(first) });
        remains.counts.set(`${kind.plural}.${kind.group}`, left.length);
      }
      for (const finalizer of left.flatMap((item) => item.metadata.finalizers ?? [])) {
        remains.finalizers.set(finalizer, (remains.finalizers.get(finalizer) ?? 0) + 1);
      }
    } catch (error) {
      // A definition that was deleted meanwhile took its objects with it.
      if (!isNotFound(error)) remains.errors.push(`${apiVersionOf(kind)} ${kind.plural}: ${messageOf(error)}`);
    }
  }
}

/** The conditions by which Kubernetes says why a namespace is still Terminating. */
export function terminatingConditions(
  { status }: Namespace,
  { counts, finalizers, errors }: Remains,
  nowMs: number,
): Condition[] {
  const listed = (map: Map<string, number>, what: string) =>
    [...map]
      .sort()
      .map(([name, count]) => `${name} ${what} ${count} resource instances`)
      .join(', ');
  const wanted: Condition[] = [
    errors.length > 0
      ? is('NamespaceDeletionContentFailure', 'ContentDeletionFailed', errors.join('; '))
      : isNot('NamespaceDeletionContentFailure', 'ContentDeleted', 'All content successfully deleted'),
    counts.size > 0
      ? is('NamespaceContentRemaining', 'SomeResourcesRemain', `Some resources are remaining: ${listed(counts, 'has')}`)
      : isNot('NamespaceContentRemaining', 'ContentRemoved', 'All content successfully removed'),
    finalizers.size > 0
      ? is(
          'NamespaceFinalizersRemaining',
          'SomeFinalizersRemain',
          `Some content in the namespace has finalizers remaining: ${listed(finalizers, 'in')}`,
        )
      : isNot('NamespaceFinalizersRemaining', 'ContentHasNoFinalizers', 'All content-preserving finalizers finished'),
  ];
  const now = timestamp(nowMs);
  return wanted.map((next) => dated(next, status?.conditions, now));
}

const is = (type: string, reason: string, message: string) => ({ type, status: 'True' as const, reason, message });
const isNot = (type: string, reason: string, message: string) => ({ type, status: 'False' as const, reason, message });
