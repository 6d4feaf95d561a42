import type { Kind } from '../../api/kind.ts';
import type { Key } from '../../api/meta.ts';
import type { ListOptions } from '../client.ts';

/** `/apis/apps/v1/namespaces/default/deployments`, or over all namespaces without `namespace`. */
export function collectionPath(kind: Kind, namespace: string | undefined): string {
  // A kind may be what somebody's reference says: it stays within its part of the path.
  const [group, version, plural] = [kind.group, kind.version, kind.plural].map(encodeURIComponent);
  const root = kind.group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
  const scope = kind.isNamespaced && namespace !== undefined ? `/namespaces/${encodeURIComponent(namespace)}` : '';
  return `${root}${scope}/${plural}`;
}

export function objectPath(kind: Kind, key: Key, subresource?: string): string {
  const path = `${collectionPath(kind, key.namespace)}/${encodeURIComponent(key.name)}`;
  return subresource === undefined ? path : `${path}/${subresource}`;
}

/** `path?…` with the list options and whatever else is defined in `parameters`. */
export function withQuery(path: string, options: ListOptions, parameters: Record<string, string | undefined>): string {
  const query = new URLSearchParams();
  if (options.labelSelector) query.set('labelSelector', options.labelSelector);
  if (options.fieldSelector) query.set('fieldSelector', options.fieldSelector);
  for (const [name, value] of Object.entries(parameters)) if (value !== undefined) query.set(name, value);
  return query.size === 0 ? path : `${path}?${query}`;
}
