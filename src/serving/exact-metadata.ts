import type { KubeObject, ObjectMeta } from '../api/meta.ts';

/** The metadata of `current` with exactly the labels and annotations of `desired`. */
export function exactMetadata(current: KubeObject, desired: KubeObject): ObjectMeta {
  const { labels: _labels, annotations: _annotations, ...rest } = current.metadata;
  return { ...rest, ...unlessEmpty('labels', desired), ...unlessEmpty('annotations', desired) };
}

/** The server stores no empty maps: writing one would be a difference for ever. */
function unlessEmpty(field: 'labels' | 'annotations', { metadata }: KubeObject) {
  const value = metadata[field];
  return value && Object.keys(value).length > 0 ? { [field]: value } : {};
}
