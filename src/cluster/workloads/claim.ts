import type { Kind } from '../../api/kind.ts';
import { controllerReference, inNamespaceOf, type KubeObject, keyOf, type LabelSelector } from '../../api/meta.ts';
import { selects } from '../../api/selector.ts';
import { isControlledBy } from '../../kube/ensure.ts';
import type { ReconcileContext } from '../../kube/reconciler.ts';

/**
 * The dependents of `owner`: those that it controls and that `selector` selects. Adopts what is selected and has no
 * controller, releases what is controlled and no longer selected. Nothing is adopted by an owner being deleted.
 */
export async function claim<T extends KubeObject>(
  context: ReconcileContext,
  kind: Kind<T>,
  owner: KubeObject,
  selector: LabelSelector,
): Promise<T[]> {
  const { cache, client } = context;
  const mine: T[] = [];
  const isDeleting = owner.metadata.deletionTimestamp !== undefined;
  for (const dependent of cache.ownedBy(kind, owner)) {
    if (selects(selector, dependent.metadata.labels)) mine.push(dependent);
    else if (!isDeleting && !dependent.metadata.deletionTimestamp) {
      await setOwners(
        dependent,
        (dependent.metadata.ownerReferences ?? []).filter((r) => r.uid !== owner.metadata.uid),
      );
    }
  }
  if (isDeleting) return mine;
  for (const orphan of cache.list(kind, inNamespaceOf(owner))) {
    const { ownerReferences = [], deletionTimestamp, labels } = orphan.metadata;
    if (deletionTimestamp || ownerReferences.some((r) => r.controller) || !selects(selector, labels)) continue;
    // The owner may be gone already while our copy of it is a moment old: then nothing must be adopted.
    const fresh = await client.get(context.kind, keyOf(owner));
    if (fresh?.metadata.uid !== owner.metadata.uid || fresh?.metadata.deletionTimestamp) return mine;
    mine.push(await setOwners(orphan, [...ownerReferences, controllerReference(owner)]));
  }
  return mine;

  function setOwners(object: T, ownerReferences: NonNullable<T['metadata']['ownerReferences']>): Promise<T> {
    return client.update(kind, { ...object, metadata: { ...object.metadata, ownerReferences } });
  }
}

/** The objects of `kind` in the object's namespace that would adopt it: none when it has a controller. */
export function adopters<T extends KubeObject & { spec: { selector: LabelSelector } }>(
  candidates: readonly T[],
  object: KubeObject,
): T[] {
  if (object.metadata.ownerReferences?.some((r) => r.controller)) return [];
  return candidates.filter((c) => selects(c.spec.selector, object.metadata.labels) && !isControlledBy(object, c));
}
