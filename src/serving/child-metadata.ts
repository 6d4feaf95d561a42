import { type KubeObject, keyOf, lastAppliedAnnotation, type ObjectMeta } from '../api/meta.ts';

/** What a child of the same name takes over; what `kubectl apply` noted is of the parent alone. */
export function inheritedMetadata(parent: KubeObject) {
  const { [lastAppliedAnnotation]: _, ...annotations } = parent.metadata.annotations ?? {};
  return { ...keyOf(parent), labels: { ...parent.metadata.labels }, annotations } satisfies ObjectMeta;
}
