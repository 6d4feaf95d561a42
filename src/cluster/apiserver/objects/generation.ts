import type { KubeObject } from '../../../api/meta.ts';
import type { JsonObject } from '../../../lib/json-object.ts';
import { sameJson } from '../../../lib/same-json.ts';
import type { ServedResource } from '../resources.ts';

/** Whether objects of the resource count their generations: custom ones do, and built-ins that have spec and status. */
export function hasGeneration({ isBuiltin, kind }: ServedResource): boolean {
  return !isBuiltin || (kind.hasStatus && kind.schema.properties?.spec !== undefined);
}

/**
 * The generation of `next` when it replaces `old`: one more when what the user wants has changed. For built-ins that is
 * the spec; for custom resources all but metadata, and but status when it is a subresource.
 */
export function nextGeneration(resource: ServedResource, next: KubeObject, old: KubeObject): number | undefined {
  const { generation } = old.metadata;
  if (!hasGeneration(resource)) return generation;
  return isSameWish(resource, next, old) ? generation : (generation ?? 0) + 1;
}

function isSameWish({ isBuiltin, kind, strategy }: ServedResource, next: KubeObject, old: KubeObject): boolean {
  const a = next as unknown as JsonObject;
  const b = old as unknown as JsonObject;
  if (strategy.wishOf) return sameJson(strategy.wishOf(next), strategy.wishOf(old));
  if (isBuiltin) return sameJson(a.spec, b.spec);
  for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
    if (['apiVersion', 'kind', 'metadata'].includes(key) || (key === 'status' && kind.hasStatus)) continue;
    if (!sameJson(a[key], b[key])) return false;
  }
  return true;
}
