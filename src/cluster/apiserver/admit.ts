import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/meta.ts';
import { invalid } from '../../api/status.ts';
import type { Admission, AdmissionRequest } from '../../kube/admission.ts';
import { sameJson } from '../../lib/same-json.ts';
import type { Machinery } from './machinery.ts';
import type { RequestInfo } from './request-info.ts';
import type { WriteOptions } from './resources.ts';
import { copyJson } from './schema/json.ts';

/** Nobody is told of what a plugin adds that the schema does not know: it is dropped. */
export const ofPlugins: WriteOptions = { fieldValidation: 'Ignore' };

/**
 * The plugins that want to see objects of a kind, at this moment; kinds are compared by name, as clients may hold
 * copies.
 */
export function admissionFor({ admission }: Machinery, kind: Kind): readonly Admission[] {
  return admission().filter((plugin) => plugin.kinds.some((k) => k.kind === kind.kind && k.group === kind.group));
}

export function admissionRequest(
  operation: AdmissionRequest['operation'],
  { dryRun = false, name, namespace, resource, subresource, user }: RequestInfo,
  object: KubeObject,
  old: KubeObject | undefined,
): AdmissionRequest {
  const about = { operation, user, kind: resource.kind, namespace, name, subresource };
  return { ...about, object, old, isDryRun: dryRun, warnings: [] };
}

/**
 * Lets each plugin change a copy of `request.object`, in their order. `settle` makes of what one has changed the object
 * that the next one sees, as it makes it of what a client sends.
 */
export async function mutate(
  plugins: readonly Admission[],
  request: AdmissionRequest,
  settle: (changed: KubeObject, before: KubeObject) => KubeObject,
): Promise<void> {
  for (const plugin of plugins) {
    if (!plugin.mutate) continue;
    const before = request.object;
    request.object = copyJson(before);
    await plugin.mutate(request);
    request.object = sameJson(request.object, before) ? before : settle(request.object, before);
  }
}

/** 422 with what all plugins have against `request.object`. */
export async function admit(plugins: readonly Admission[], request: AdmissionRequest): Promise<void> {
  const errors = [];
  for (const plugin of plugins) errors.push(...((await plugin.validate?.(request)) ?? []));
  if (errors.length > 0) throw invalid(request.kind, request.object.metadata.name, errors);
}
