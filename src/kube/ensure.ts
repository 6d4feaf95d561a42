import type { Configuration, Kind } from '../api/kind.ts';
import { controllerReference, type KubeObject, keyOf, keyText } from '../api/meta.ts';
import { isAlreadyExists } from '../api/status.ts';
import { sameJson } from '../lib/same-json.ts';
import { type ReconcileContext, TerminalError } from './reconciler.ts';

export interface EnsureOptions<T extends KubeObject> {
  /** Becomes the controller owner; an object of the same name that it does not control is a NotOwnedError. */
  owner?: KubeObject;
  /**
   * What the stored object should become: a new object, `current` untouched. Unless given, all of `desired` but its
   * status replaces what is stored, and its labels and annotations are added to those stored.
   */
  update?(current: T, desired: T): T;
}

/** An object of the wanted name exists, and belongs to somebody else. */
export class NotOwnedError extends TerminalError {}

/**
 * Creates `desired`, or brings the stored object to it; writes nothing when nothing changes. Returns the object as
 * stored. An object that is being deleted is left alone: its end calls the reconcile again. Conflicts are thrown.
 */
export async function ensure<T extends KubeObject>(
  context: Pick<ReconcileContext, 'client' | 'cache' | 'config'>,
  kind: Kind<T>,
  desired: T,
  options: EnsureOptions<T> = {},
): Promise<T> {
  const { owner } = options;
  const wanted = owner ? withOwner(desired, owner) : desired;
  const cached = context.cache.has(kind) ? context.cache.get(kind, keyOf(wanted)) : undefined;
  const found = cached ?? (await createOrGet(context, kind, wanted));
  if (found === undefined) throw new Error(`${kind.kind} ${keyText(keyOf(wanted))} came and went: trying again`);
  if ('created' in found) return found.created;
  if (owner && !isControlledBy(found, owner)) {
    throw new NotOwnedError(
      `${owner.kind} ${owner.metadata.name} does not own the existing ${kind.kind} ${found.metadata.name}`,
    );
  }
  if (found.metadata.deletionTimestamp !== undefined) return found;
  const next = (options.update ?? replace(kind, context.config()))(found, wanted);
  return sameJson(next, found) ? found : await context.client.update(kind, next);
}

/** A cache may be a moment behind, so creating comes first; `undefined` when the object went away in between. */
async function createOrGet<T extends KubeObject>(
  context: Pick<ReconcileContext, 'client' | 'cache' | 'config'>,
  kind: Kind<T>,
  wanted: T,
): Promise<{ created: T } | T | undefined> {
  if (!context.cache.has(kind)) {
    const stored = await context.client.get(kind, keyOf(wanted));
    if (stored) return stored;
  }
  try {
    return { created: await context.client.create(kind, wanted) };
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
    return await context.client.get(kind, keyOf(wanted));
  }
}

function replace<T extends KubeObject>(kind: Kind<T>, config: Configuration): (current: T, desired: T) => T {
  return (current, desired) => {
    const next: T & { status?: unknown } = structuredClone(desired);
    const stored: T & { status?: unknown } = current;
    next.metadata = {
      ...current.metadata,
      ...merged('labels', current, desired),
      ...merged('annotations', current, desired),
    };
    if (stored.status === undefined) delete next.status;
    else next.status = stored.status;
    // What the server would fill in must not look like a difference.
    kind.setDefaults?.(next, { old: current, config });
    return next;
  };
}

function merged(field: 'labels' | 'annotations', current: KubeObject, desired: KubeObject) {
  const added = desired.metadata[field];
  return added ? { [field]: { ...current.metadata[field], ...added } } : {};
}

function withOwner<T extends KubeObject>(desired: T, owner: KubeObject): T {
  const others = (desired.metadata.ownerReferences ?? []).filter((r) => r.uid !== owner.metadata.uid);
  const ownerReferences = [...others, controllerReference(owner)];
  return { ...desired, metadata: { ...desired.metadata, ownerReferences } };
}

/** Whether `owner` is the controller of `object`. */
export function isControlledBy(object: KubeObject, owner: KubeObject): boolean {
  return object.metadata.ownerReferences?.some((r) => r.controller && r.uid === owner.metadata.uid) ?? false;
}
