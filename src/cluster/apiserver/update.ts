import { fieldInvalid } from '../../api/field-error.ts';
import { apiVersionOf, type KindContext } from '../../api/kind.ts';
import type { KubeObject } from '../../api/meta.ts';
import { badRequest, conflict, invalid, notFound } from '../../api/status.ts';
import type { Admission, AdmissionRequest } from '../../kube/admission.ts';
import { sameJson } from '../../lib/same-json.ts';
import { StoredObject } from '../store/stored-object.ts';
import { admissionFor, admissionRequest, admit, mutate, ofPlugins } from './admit.ts';
import { toStored } from './conversion.ts';
import { contextOf, type Machinery, onDisk, putOnDisk, storeKey } from './machinery.ts';
import { requireValid, requireValidField, setDefaults } from './objects/check.ts';
import { type Decoded, decode } from './objects/decode.ts';
import { nextGeneration } from './objects/generation.ts';
import { keepIdentity } from './objects/metadata.ts';
import { asSeen } from './read.ts';
import type { NamedRequest } from './request-info.ts';
import type { Result, WriteOptions } from './resources.ts';
import { copyJson } from './schema/json.ts';
import { requirePart } from './served-resource.ts';
import type { Field, View } from './strategy.ts';

/** How often a write that names no resourceVersion is tried again on what others wrote meanwhile. */
const attemptsMax = 100;

const modifiedMeanwhile = 'the object has been modified; please apply your changes to the latest version and try again';

/** What a request makes of the stored object: the object (or Scale) as the client wants it, not yet decoded. */
export type Produce = (current: KubeObject) => unknown;

/** One write, as it is asked for. */
interface Asked {
  machinery: Machinery;
  request: NamedRequest;
  /** What of the object it is about: the whole unless given. */
  part: Field | View | undefined;
  produce: Produce;
  options: WriteOptions;
  isReplace: boolean;
}

/** Replaces an object or its subresource (PUT). */
export async function update(
  machinery: Machinery,
  request: NamedRequest,
  body: unknown,
  options: WriteOptions,
): Promise<Result> {
  return write({ machinery, request, part: requirePart(request), produce: () => body, options, isReplace: true });
}

/** Changes an object or its subresource to what `produce` makes of the newest one (PATCH). */
export async function change(
  machinery: Machinery,
  request: NamedRequest,
  produce: Produce,
  options: WriteOptions,
): Promise<Result> {
  return write({ machinery, request, part: requirePart(request), produce, options, isReplace: false });
}

async function write(asked: Asked): Promise<Result> {
  const { request, part } = asked;
  const { resource, name } = request;
  const { store } = asked.machinery;
  const table = store.table(resource.table);
  const key = storeKey(request, name);
  for (let attempt = 1; attempt <= attemptsMax; attempt++) {
    const latest = store.latest(table, key);
    if (!latest) throw notFound(resource.kind, name);
    const current = latest.as(apiVersionOf(resource.kind));
    const draft = prepare(asked, current.object);
    // Without plugins nothing waits here: the decision and the write are one turn of the event loop, and cannot lose.
    if (draft.plugins.length > 0) await admitDraft(asked, draft);
    else finish(asked, draft);
    const { next, warnings } = draft;
    const converting = toStored(resource, next);
    const converted = converting instanceof Promise ? await converting : converting;
    if (store.latest(table, key) !== latest) continue; // Written while others took their time: decide again.
    const result = (stored: StoredObject): Result => ({ stored: asSeen(part, stored), warnings });
    if (isEndOfLife(request, next)) {
      if (request.dryRun) return result(new StoredObject(next, 0));
      const { revision, durable } = store.remove(table, key);
      next.metadata.resourceVersion = String(revision);
      await onDisk(durable);
      return result(new StoredObject(next, revision));
    }
    if (part?.type !== 'field') resource.strategy.allocate?.(asked.machinery, next, current.object);
    if (sameJson(next, current.object)) {
      if (!request.dryRun) await onDisk(store.settled());
      return result(current);
    }
    if (request.dryRun) return result(new StoredObject(next, 0));
    return result((await putOnDisk(store, table, key, converted)).as(next.apiVersion));
  }
  throw conflict(resource.kind, name, modifiedMeanwhile);
}

/** What is to be stored, before admission has seen it and it is known to be valid. */
interface Draft {
  next: KubeObject;
  current: KubeObject;
  context: KindContext;
  warnings: string[];
  plugins: readonly Admission[];
  admission: AdmissionRequest;
}

/** Decodes and merges what the client wants. Throws Conflict when the request was made for another version. */
function prepare(asked: Asked, current: KubeObject): Draft {
  const { machinery, request, part } = asked;
  const { resource } = request;
  const { object: wanted, warnings } = decodeWanted(asked, current);
  requireSameVersion(asked, wanted, current);
  const next = merge(asked, wanted, current);
  const isWhole = part?.type !== 'field';
  const context = contextOf(machinery, current, request);
  if (isWhole) setDefaults(resource, next, context);
  const plugins = isWhole ? admissionFor(machinery, resource.kind) : [];
  return { next, context, current, warnings, plugins, admission: admissionRequest('UPDATE', request, next, current) };
}

async function admitDraft(asked: Asked, draft: Draft): Promise<void> {
  const { request } = asked;
  const { admission, context, current, plugins } = draft;
  await mutate(plugins, admission, (changed, before) => {
    const next = mergeWhole(request, decode(request, changed, ofPlugins).object, current);
    // What the client took away stays away: to what a plugin changed, `old` is what it was shown.
    setDefaults(request.resource, next, { ...context, old: before, stored: current });
    return next;
  });
  draft.next = admission.object;
  finish(asked, draft);
  await admit(plugins, admission);
  draft.warnings.push(...admission.warnings);
}

/** Counts the generation, and checks the rules. */
function finish({ request: { resource }, part }: Asked, { next, context, current }: Draft): void {
  const generation = nextGeneration(resource, next, current);
  if (generation !== undefined) next.metadata.generation = generation;
  if (part?.type === 'field') requireValidField(resource, next, part.field);
  else requireValid(resource, next, context);
}

function decodeWanted({ request, part, produce, options }: Asked, current: KubeObject): Decoded {
  const { name } = request;
  const decoded =
    part?.type === 'view'
      ? { object: part.decode(produce(part.of(current)), name), warnings: [] }
      : decode(request, produce(current), options);
  const own = decoded.object.metadata.name;
  if (own !== undefined && own !== name) {
    throw badRequest(`the name of the object (${own}) does not match the name on the URL (${name})`);
  }
  return decoded;
}

function requireSameVersion({ request, part, isReplace }: Asked, wanted: KubeObject, current: KubeObject): void {
  const { kind } = request.resource;
  const { resourceVersion, uid } = wanted.metadata;
  if (uid && uid !== current.metadata.uid) {
    const why = `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${current.metadata.uid}`;
    throw conflict(kind, request.name, why);
  }
  if (resourceVersion) {
    if (resourceVersion !== current.metadata.resourceVersion) throw conflict(kind, request.name, modifiedMeanwhile);
  } else if (isReplace && !request.resource.isBuiltin && part?.type !== 'view') {
    const error = fieldInvalid('metadata.resourceVersion', 0, 'must be specified for an update');
    throw invalid(kind, request.name, [error]);
  }
}

/** What the client may change through this (sub)resource, from `wanted`; everything else as it is. */
function merge({ request, part }: Asked, wanted: KubeObject, current: KubeObject): KubeObject {
  if (!part) return mergeWhole(request, wanted, current);
  if (part.type === 'view') return part.put(current, wanted);
  return withField({ ...current, metadata: { ...current.metadata } }, part.field, partsOf(wanted)[part.field]);
}

function mergeWhole(request: NamedRequest, wanted: KubeObject, current: KubeObject): KubeObject {
  const { kind, strategy } = request.resource;
  const next = { ...wanted, metadata: { ...wanted.metadata } };
  keepIdentity(next, current);
  if (kind.hasStatus) withField(next, 'status', copyJson(partsOf(current).status));
  strategy.prepareForUpdate?.(next, current, request);
  return next;
}

const partsOf = (object: KubeObject) => object as { spec?: unknown; status?: unknown };

function withField(object: KubeObject, field: Field['field'], value: unknown): KubeObject {
  if (value === undefined) delete partsOf(object)[field];
  else partsOf(object)[field] = value;
  return object;
}

/** Whether the object waits for deletion and this write takes away the last thing that kept it. */
function isEndOfLife({ resource }: NamedRequest, next: KubeObject): boolean {
  const { deletionTimestamp, deletionGracePeriodSeconds, finalizers } = next.metadata;
  if (deletionTimestamp === undefined || (finalizers?.length ?? 0) > 0) return false;
  if ((deletionGracePeriodSeconds ?? 0) > 0) return false;
  return (resource.strategy.finalizersOf?.(next) ?? []).length === 0;
}
