import { ApiError, badRequest } from '../../../api/status.ts';
import type { Patch } from '../../../kube/client.ts';
import { isJsonObject } from '../../../lib/json-object.ts';
import type { ServedResource } from '../resources.ts';
import { rootSchema } from '../schema/root-schema.ts';
import { applyJsonPatch } from './json-patch.ts';
import { applyMergePatch } from './merge-patch.ts';
import { applyStrategicMergePatch } from './strategic-merge.ts';

/** `object` as the patch changes it; the object itself stays. 415 for patch types that the resource does not take. */
export function applyPatch(resource: ServedResource, object: unknown, patch: Patch): unknown {
  if (patch.type === 'json') {
    if (!Array.isArray(patch.operations)) throw badRequest('a JSON patch is a list of operations');
    return applyJsonPatch(object, patch.operations);
  }
  if (patch.type === 'apply') {
    const remedy = 'server-side apply is not supported yet: use kubectl apply without --server-side';
    throw new ApiError(415, 'UnsupportedMediaType', remedy);
  }
  if (!isJsonObject(patch.patch)) throw badRequest('a patch must be an object');
  if (patch.type === 'merge') return applyMergePatch(object, patch.patch);
  if (!resource.isBuiltin) {
    const accepted = 'application/json-patch+json, application/merge-patch+json';
    const message =
      'the body of the request was in an unknown format - accepted media types include: ' +
      `${accepted} (strategic merge is for built-in resources only)`;
    throw new ApiError(415, 'UnsupportedMediaType', message);
  }
  return applyStrategicMergePatch(object, patch.patch, rootSchema(resource.kind));
}
