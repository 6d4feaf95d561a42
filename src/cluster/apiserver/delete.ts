import { apiVersionOf } from '../../api/kind.ts';
import { type KubeObject, timestamp } from '../../api/meta.ts';
import { conflict, isNotFound, notFound } from '../../api/status.ts';
import type { DeleteOptions } from '../../kube/client.ts';
import { sameJson } from '../../lib/same-json.ts';
import { StoredObject } from '../store/stored-object.ts';
import { admissionFor, admissionRequest, admit } from './admit.ts';
import { toStored } from './conversion.ts';
import { type Machinery, onDisk, putOnDisk, storeKey } from './machinery.ts';
import type { NamedRequest } from './request-info.ts';
import type { DeleteResult } from './resources.ts';
import { notAllowed, requireOffered } from './served-resource.ts';

const attemptsMax = 10;
/** How many objects of many are deleted at once. */
const deletionsAtOnce = 50;

/** Finalizers by which the garbage collector is told what to do with dependents. */
const foreground = 'foregroundDeletion';
const orphan = 'orphan';

/** Deletes an object, or marks it as being deleted while finalizers, content or a grace period keep it. */
export async function remove(
  machinery: Machinery,
  request: NamedRequest,
  deletion: DeleteOptions,
): Promise<DeleteResult> {
  const { store } = machinery;
  const { resource, name } = request;
  if (requireOffered(request)) throw notAllowed();
  const table = store.table(resource.table);
  const key = storeKey(request, name);
  for (let attempt = 1; attempt <= attemptsMax; attempt++) {
    const latest = store.latest(table, key);
    if (!latest) throw notFound(resource.kind, name);
    const current = latest.as(apiVersionOf(resource.kind));
    requirePreconditions(request, current.object, deletion);
    const ending = { ...current.object };
    resource.strategy.prepareForDelete?.(ending, request);
    const plugins = admissionFor(machinery, resource.kind);
    if (plugins.length > 0) {
      await admit(plugins, admissionRequest('DELETE', request, current.object, current.object));
      if (store.latest(table, key) !== latest) continue;
    }
    const ended = await end(machinery, request, { latest, current, ending }, deletion);
    if (ended) return ended;
  }
  throw conflict(resource.kind, name, 'the object changed again and again while it was to be deleted');
}

/** Removes each, whatever goes wrong with some; throws what went wrong first. What is gone already is as good. */
export async function removeEach<T>(items: readonly T[], remove: (item: T) => Promise<unknown>): Promise<void> {
  const failures: unknown[] = [];
  for (let at = 0; at < items.length; at += deletionsAtOnce) {
    const deletions = items.slice(at, at + deletionsAtOnce).map(async (item) => {
      try {
        await remove(item);
      } catch (error) {
        if (!isNotFound(error)) failures.push(error);
      }
    });
    await Promise.all(deletions);
  }
  if (failures.length > 0) throw failures[0];
}

interface Found {
  latest: StoredObject;
  /** In the request's version. */
  current: StoredObject;
  /** How it looks while it is being deleted. */
  ending: KubeObject;
}

/** Undefined when the object has changed while others took their time. */
async function end(
  { store, clock }: Machinery,
  request: NamedRequest,
  { latest, current, ending }: Found,
  deletion: DeleteOptions,
): Promise<DeleteResult | undefined> {
  const { resource, name } = request;
  const table = store.table(resource.table);
  const key = storeKey(request, name);
  const { object } = current;
  const { strategy } = resource;
  const graceSeconds = strategy.graceOf?.(object, deletion) ?? 0;
  const finalizers = finalizersFor(object, deletion);
  const others = strategy.finalizersOf?.(object) ?? [];
  if (finalizers.length === 0 && others.length === 0 && graceSeconds === 0) {
    if (request.dryRun) return { stored: current, warnings: [], isGone: true };
    await onDisk(store.remove(table, key).durable);
    return { stored: current, warnings: [], isGone: true };
  }
  const next = marked(ending, finalizers, graceSeconds, clock.now());
  if (sameJson(next, object)) {
    if (!request.dryRun) await onDisk(store.settled());
    return { stored: current, warnings: [], isGone: false };
  }
  if (request.dryRun) return { stored: new StoredObject(next, 0), warnings: [], isGone: false };
  const converting = toStored(resource, next);
  const converted = converting instanceof Promise ? await converting : converting;
  if (store.latest(table, key) !== latest) return undefined;
  const stored = await putOnDisk(store, table, key, converted);
  return { stored: stored.as(next.apiVersion), warnings: [], isGone: false };
}

function requirePreconditions({ resource, name }: NamedRequest, object: KubeObject, { preconditions }: DeleteOptions) {
  const { uid, resourceVersion } = object.metadata;
  if (preconditions?.uid !== undefined && preconditions.uid !== uid) {
    const why = `Precondition failed: UID in precondition: ${preconditions.uid}, UID in object meta: ${uid}`;
    throw conflict(resource.kind, name, why);
  }
  if (preconditions?.resourceVersion !== undefined && preconditions.resourceVersion !== resourceVersion) {
    const why =
      `Precondition failed: ResourceVersion in precondition: ${preconditions.resourceVersion}, ` +
      `ResourceVersion in object meta: ${resourceVersion}`;
    throw conflict(resource.kind, name, why);
  }
}

function finalizersFor(object: KubeObject, { propagationPolicy }: DeleteOptions): string[] {
  const finalizers = object.metadata.finalizers ?? [];
  if (propagationPolicy === undefined) return finalizers;
  const others = finalizers.filter((finalizer) => finalizer !== foreground && finalizer !== orphan);
  if (propagationPolicy === 'Foreground') return [...others, foreground];
  return propagationPolicy === 'Orphan' ? [...others, orphan] : others;
}

/** The object as being deleted. Its time is when the grace ends. */
function marked(object: KubeObject, finalizers: string[], graceSeconds: number, nowMs: number): KubeObject {
  const metadata = { ...object.metadata };
  if (finalizers.length > 0) metadata.finalizers = finalizers;
  else delete metadata.finalizers;
  if (metadata.deletionTimestamp === undefined || graceSeconds !== metadata.deletionGracePeriodSeconds) {
    const isFirst = metadata.deletionTimestamp === undefined;
    metadata.deletionTimestamp = timestamp(nowMs + graceSeconds * 1000);
    metadata.deletionGracePeriodSeconds = graceSeconds;
    if (isFirst && metadata.generation) metadata.generation += 1;
  }
  return { ...object, metadata };
}
