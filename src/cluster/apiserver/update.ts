import { fieldInvalid } from '../../api/field-error.ts';
import { apiVersionOf } from '../../api/kind.ts';
import type { KubeObject } from '../../api/meta.ts';
import { ApiError, badRequest, conflict, invalid, notFound } from '../../api/status.ts';
import type { Admission, AdmissionRequest } from '../../kube/admission.ts';
import { sameJson } from '../../lib/same-json.ts';
import { StoredObject } from '../store/stored-object.ts';
import { admissionFor, admissionRequest, admit, mutate } from './admit.ts';
import { type Machinery, onDisk, putOnDisk, storeKey } from './machinery.ts';
import { requireValid, requireValidStatus, setDefaults } from './objects/check.ts';
import { decode } from './objects/decode.ts';
import { nextGeneration } from './objects/generation.ts';
import { scaleOf, withScale } from './objects/scale.ts';
import type { NamedRequest } from './request-info.ts';
import type { Result, WriteOptions } from './resources.ts';
import { copyJson } from './schema/json.ts';

/** How often a write that names no resourceVersion is tried again on what others wrote meanwhile. */
const attemptsMax = 100;

const modifiedMeanwhile = 'the object has been modified; please apply your changes to the latest version and try again';

/** What a request makes of the stored object: the object (or Scale) as the client wants it, not yet decoded. */
export type Produce = (current: KubeObject) => unknown;

/** Replaces an object or its subresource (PUT). */
export async function update(
  machinery: Machinery,
  request: NamedRequest,
  body: unknown,
  options: WriteOptions,
): Promise<Result> {
  return write(machinery, request, () => body, options, { isReplace: true });
}

/** Changes an object or its subresource to what `produce` makes of the newest one (PATCH). */
export async function change(
  machinery: Machinery,
  request: NamedRequest,
  produce: Produce,
  options: WriteOptions,
): Promise<Result> {
  return write(machinery, request, produce, options, { isReplace: false });
}

async function write(
  machinery: Machinery,
  request: NamedRequest,
  produce: Produce,
  options: WriteOptions,
  { isReplace }: { isReplace: boolean },
): Promise<Result> {
  const { store } = machinery;
  const { resource, name } = request;
  requireSubresource(request);
  const table = store.table(resource.table);
  const key = storeKey(request, name);
  for (let attempt = 1; attempt <= attemptsMax; attempt++) {
    const latest = store.latest(table, key);
    if (!latest) throw notFound(resource.kind, name);
    const current = latest.as(apiVersionOf(resource.kind));
    const draft = prepare(machinery, request, current.object, produce, options, isReplace);
    // Without plugins nothing waits here: the decision and the write are one turn of the event loop, and cannot lose.
    if (draft.plugins.length > 0) await admitDraft(request, draft);
    else finish(request, draft);
    const { next, warnings } = draft;
    if (store.latest(table, key) !== latest) continue; // Written while admission took its time: decide again.
    const result = (stored: StoredObject): Result => ({ stored: asAsked(request, stored), warnings });
    if (isEndOfLife(request, next)) {
      if (request.dryRun) return result(new StoredObject(next, 0));
      const { revision, durable } = store.remove(table, key);
      next.metadata.resourceVersion = String(revision);
      await onDisk(durable);
      return result(new StoredObject(next, revision));
    }
    if (sameJson(next, current.object)) {
      if (!request.dryRun) await onDisk(store.settled());
      return result(current);
    }
    if (request.dryRun) return result(new StoredObject(next, 0));
    const asked = next.apiVersion;
    next.apiVersion = resource.storedApiVersion;
    return result((await putOnDisk(store, table, key, next)).as(asked));
  }
  throw conflict(resource.kind, name, modifiedMeanwhile);
}

function requireSubresource({ resource, subresource }: NamedRequest): void {
  const { kind } = resource;
  const isThere =
    subresource === undefined ||
    (subresource === 'status' && kind.hasStatus) ||
    (subresource === 'scale' && kind.scale !== undefined) ||
    (subresource === 'finalize' && isNamespace(kind));
  if (!isThere) {
    throw new ApiError(
      404,
      'NotFound',
      `the server could not find the requested resource: ${kind.plural}/${subresource}`,
    );
  }
}

/** What is to be stored, before admission has seen it and it is known to be valid. */
interface Draft {
  next: KubeObject;
  current: KubeObject;
  warnings: string[];
  plugins: readonly Admission[];
  admission: AdmissionRequest;
}

/** Decodes and merges what the client wants. Throws Conflict when the request was made for another version. */
function prepare(
  machinery: Machinery,
  request: NamedRequest,
  current: KubeObject,
  produce: Produce,
  options: WriteOptions,
  isReplace: boolean,
): Draft {
  const { resource, subresource } = request;
  const { object: wanted, warnings } = decodeWanted(request, current, produce, options);
  requireSameVersion(request, wanted, current, isReplace);
  const next = merge(request, wanted, current);
  const isWhole = subresource === undefined || subresource === 'scale';
  if (isWhole) setDefaults(resource, next, current);
  const plugins = isWhole ? admissionFor(machinery, resource.kind) : [];
  return { next, current, warnings, plugins, admission: admissionRequest('UPDATE', request, next, current) };
}

async function admitDraft(request: NamedRequest, draft: Draft): Promise<void> {
  await mutate(draft.plugins, draft.admission);
  finish(request, draft);
  await admit(draft.plugins, draft.admission);
}

/** Counts the generation, and checks the rules. */
function finish({ resource, subresource }: NamedRequest, { next, current }: Draft): void {
  if (subresource === 'status') {
    requireValidStatus(resource, next);
    return;
  }
  const generation = nextGeneration(resource, next, current);
  if (generation !== undefined) next.metadata.generation = generation;
  requireValid(resource, next, current);
}

function decodeWanted(request: NamedRequest, current: KubeObject, produce: Produce, options: WriteOptions) {
  const { resource, name, subresource } = request;
  if (subresource === 'scale') {
    return { object: withScale(resource, current, produce(scaleOf(resource, current))), warnings: [] };
  }
  const decoded = decode(request, produce(current), options);
  const own = decoded.object.metadata.name;
  if (own !== undefined && own !== name) {
    throw badRequest(`the name of the object (${own}) does not match the name on the URL (${name})`);
  }
  return decoded;
}

function requireSameVersion(request: NamedRequest, wanted: KubeObject, current: KubeObject, isReplace: boolean): void {
  const { kind } = request.resource;
  const { resourceVersion, uid } = wanted.metadata;
  if (uid && uid !== current.metadata.uid) {
    const why = `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${current.metadata.uid}`;
    throw conflict(kind, request.name, why);
  }
  if (resourceVersion) {
    if (resourceVersion !== current.metadata.resourceVersion) throw conflict(kind, request.name, modifiedMeanwhile);
  } else if (isReplace && !request.resource.isBuiltin && request.subresource !== 'scale') {
    const error = fieldInvalid('metadata.resourceVersion', 0, 'must be specified for an update');
    throw invalid(kind, request.name, [error]);
  }
}

/** What the client may change through this (sub)resource, from `wanted`; everything else as it is. */
function merge({ resource, subresource }: NamedRequest, wanted: KubeObject, current: KubeObject): KubeObject {
  type WithParts = KubeObject & { spec?: unknown; status?: unknown };
  const was = current as WithParts;
  const wish = wanted as WithParts;
  if (subresource === 'status') {
    return withPart({ ...was, metadata: { ...was.metadata } }, 'status', wish.status);
  }
  if (subresource === 'finalize') {
    return withPart(copyJson(was), 'spec', copyJson(wish.spec));
  }
  const next = { ...wish, metadata: { ...wish.metadata } };
  keepIdentity(next, was);
  if (resource.kind.hasStatus) withPart(next, 'status', copyJson(was.status));
  if (isNamespace(resource.kind)) withPart(next, 'spec', copyJson(was.spec));
  return next;
}

function withPart<T extends object>(object: T, part: 'spec' | 'status', value: unknown): T {
  const parts = object as { spec?: unknown; status?: unknown };
  if (value === undefined) delete parts[part];
  else parts[part] = value;
  return object;
}

/** The metadata that only the server writes. */
const serverFields = [
  'name',
  'namespace',
  'uid',
  'resourceVersion',
  'generation',
  'creationTimestamp',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
  'generateName',
  'managedFields',
] as const;

function keepIdentity(next: KubeObject, current: KubeObject): void {
  const to = next.metadata as unknown as Record<string, unknown>;
  delete to.selfLink;
  for (const key of serverFields) {
    const value = current.metadata[key];
    if (value === undefined) delete to[key];
    else to[key] = value;
  }
}

/** Whether the object waits for deletion and this write takes away the last thing that kept it. */
function isEndOfLife({ resource }: NamedRequest, next: KubeObject): boolean {
  const { deletionTimestamp, deletionGracePeriodSeconds, finalizers } = next.metadata;
  if (deletionTimestamp === undefined || (finalizers?.length ?? 0) > 0) return false;
  if ((deletionGracePeriodSeconds ?? 0) > 0) return false;
  return !isNamespace(resource.kind) || namespaceFinalizers(next).length === 0;
}

export const isNamespace = (kind: { group: string; plural: string }): boolean =>
  kind.group === '' && kind.plural === 'namespaces';

/** The `spec.finalizers` of a Namespace, which keep it until its content is gone. */
export function namespaceFinalizers(object: KubeObject): readonly string[] {
  return (object as { spec?: { finalizers?: string[] } }).spec?.finalizers ?? [];
}

function asAsked({ resource, subresource }: NamedRequest, stored: StoredObject): StoredObject {
  if (subresource !== 'scale') return stored;
  return new StoredObject(scaleOf(resource, stored.object), stored.revision);
}
