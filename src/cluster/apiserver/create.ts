import { randomUUID } from 'node:crypto';
import { type KubeObject, timestamp } from '../../api/meta.ts';
import { ApiError, alreadyExists, badRequest } from '../../api/status.ts';
import { StoredObject } from '../store/stored-object.ts';
import { admissionFor, admissionRequest, admit, mutate, ofPlugins } from './admit.ts';
import { toStored } from './conversion.ts';
import { contextOf, type Machinery, putOnDisk, storeKey } from './machinery.ts';
import { requireLivingNamespace } from './namespace-lifecycle.ts';
import { requireValid, setDefaults } from './objects/check.ts';
import { decode } from './objects/decode.ts';
import { hasGeneration } from './objects/generation.ts';
import { generatedName, keepIdentity } from './objects/metadata.ts';
import type { RequestInfo } from './request-info.ts';
import type { Result, WriteOptions } from './resources.ts';

/** How often a generated name that is taken is thrown again. */
const generateAttempts = 8;

/** Creates an object: decode, default, admit, validate, write. */
export async function create(
  machinery: Machinery,
  request: RequestInfo,
  body: unknown,
  options: WriteOptions,
): Promise<Result> {
  const { object: sent, warnings } = decode(request, body, options);
  let object = sent;
  if (object.metadata.resourceVersion) throw badRequest('resourceVersion should not be set on objects to be created');
  const given = object.metadata.name;
  beginLife(machinery, request, object);
  requireRoom(machinery, request, given ?? object.metadata.generateName ?? '');

  for (let attempt = 1; ; attempt++) {
    if (!given && object.metadata.generateName) object.metadata.name = generatedName(object.metadata.generateName);
    try {
      if (attempt === 1) object = await complete(machinery, request, object, warnings);
      return { stored: await write(machinery, request, object), warnings };
    } catch (error) {
      const isTaken = error instanceof ApiError && error.reason === 'AlreadyExists';
      if (!isTaken || given || attempt === generateAttempts) throw error;
    }
  }
}

function requireRoom(machinery: Machinery, request: RequestInfo, name: string): void {
  request.resource.strategy.requireCreatable?.(machinery, request, name);
  requireLivingNamespace(machinery, request, name);
}

/** Metadata and status of a new object are the server's to say. */
function beginLife({ clock, claimUid }: Machinery, { resource, dryRun }: RequestInfo, object: KubeObject): void {
  const { metadata } = object;
  for (const key of ['resourceVersion', 'selfLink', 'managedFields'] as const) delete metadata[key as 'managedFields'];
  delete metadata.deletionTimestamp;
  delete metadata.deletionGracePeriodSeconds;
  const isSetAside = metadata.uid !== undefined && !dryRun && claimUid(metadata.uid);
  if (!isSetAside) metadata.uid = randomUUID();
  metadata.creationTimestamp = timestamp(clock.now());
  if (hasGeneration(resource)) metadata.generation = 1;
  else delete metadata.generation;
  if (resource.kind.hasStatus) delete (object as { status?: unknown }).status;
}

/** The object with all that it lacks, which nobody has anything against. */
async function complete(
  machinery: Machinery,
  request: RequestInfo,
  object: KubeObject,
  warnings: string[],
): Promise<KubeObject> {
  const { resource } = request;
  const context = contextOf(machinery, undefined, request);
  const fill = (made: KubeObject) => {
    setDefaults(resource, made, context);
    resource.strategy.prepareForCreate?.(made, request);
    return made;
  };
  fill(object);
  const plugins = admissionFor(machinery, resource.kind);
  const admission = admissionRequest('CREATE', request, object, undefined);
  if (plugins.length > 0) {
    await mutate(plugins, admission, (changed, before) => {
      const { object: made } = decode(request, changed, ofPlugins);
      keepIdentity(made, before);
      if (resource.kind.hasStatus) delete (made as { status?: unknown }).status;
      return fill(made);
    });
  }
  requireValid(resource, admission.object, context);
  if (plugins.length > 0) await admit(plugins, admission);
  warnings.push(...admission.warnings);
  return admission.object;
}

async function write(machinery: Machinery, request: RequestInfo, object: KubeObject): Promise<StoredObject> {
  const { store } = machinery;
  const table = store.table(request.resource.table);
  const key = storeKey(request, object.metadata.name);
  const converting = toStored(request.resource, object);
  const converted = converting instanceof Promise ? await converting : converting;
  if (store.latest(table, key)) throw alreadyExists(request.resource.kind, object.metadata.name);
  // Admission may have taken its time.
  requireRoom(machinery, request, object.metadata.name);
  request.resource.strategy.allocate?.(machinery, object, undefined);
  if (request.dryRun) return new StoredObject(object, 0);
  return (await putOnDisk(store, table, key, converted)).as(object.apiVersion);
}
