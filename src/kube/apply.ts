import type { Kind } from '../api/kind.ts';
import { type KubeObject, keyOf, lastAppliedAnnotation } from '../api/meta.ts';
import { isJsonObject } from '../lib/json-object.ts';
import { sameJson } from '../lib/same-json.ts';
import type { Client } from './client.ts';
import { despiteRaces } from './despite-races.ts';

export type Applied<T> = { object: T; outcome: 'created' | 'configured' | 'unchanged' };

/**
 * Client-side apply, as `kubectl apply` does it for custom resources: creates the object, or sends the JSON merge patch
 * that takes the last applied configuration to `desired` and repairs what has drifted from it.
 */
export async function applyObject<T extends KubeObject>(
  client: Client,
  kind: Kind<T>,
  desired: T,
): Promise<Applied<T>> {
  const wanted = withLastApplied(desired);
  return despiteRaces(async () => {
    const live = await client.get(kind, keyOf(desired));
    if (!live) return { object: await client.create(kind, wanted), outcome: 'created' };
    const patch = threeWayMergePatch(lastApplied(live), wanted, live);
    if (patch === undefined) return { object: live, outcome: 'unchanged' };
    const object = await client.patch(kind, keyOf(desired), { type: 'merge', patch });
    return { object, outcome: isSameRequest(live, object) ? 'unchanged' : 'configured' };
  });
}

/** Whether what a person may ask for is the same; the status may have moved meanwhile, by its controller. */
function isSameRequest(before: KubeObject, after: KubeObject): boolean {
  const asked = ({ status: _, metadata, ...rest }: KubeObject & { status?: unknown }) => {
    const { labels = {}, annotations = {} } = metadata;
    return { ...rest, labels, annotations };
  };
  return sameJson(asked(before), asked(after));
}

/**
 * The merge patch (RFC 7386) that sets what `desired` has and `live` has not, and removes (null) what `last` had and
 * `desired` no longer has. Undefined when there is nothing to change. Lists are replaced whole.
 * Example: last {a: 1, b: 1}, desired {a: 2}, live {a: 1, b: 1, c: 1} gives {a: 2, b: null}.
 */
export function threeWayMergePatch(last: unknown, desired: unknown, live: unknown): unknown {
  if (!isJsonObject(desired) || !isJsonObject(live)) return sameJson(desired, live) ? undefined : desired;
  const patch: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(desired)) {
    const isThere = Object.hasOwn(live, key);
    const change = isThere ? threeWayMergePatch(isJsonObject(last) ? last[key] : undefined, value, live[key]) : value;
    if (change !== undefined) patch[key] = change;
  }
  for (const key of Object.keys(isJsonObject(last) ? last : {})) {
    if (!Object.hasOwn(desired, key) && Object.hasOwn(live, key)) patch[key] = null;
  }
  return Object.keys(patch).length === 0 ? undefined : patch;
}

function withLastApplied<T extends KubeObject>(object: T): T {
  const annotations = { ...object.metadata.annotations, [lastAppliedAnnotation]: `${JSON.stringify(object)}\n` };
  return { ...object, metadata: { ...object.metadata, annotations } };
}

function lastApplied(live: KubeObject): unknown {
  const text = live.metadata.annotations?.[lastAppliedAnnotation];
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // Written by hand: nothing is known to have been applied, so nothing is removed.
  }
}
