import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/meta.ts';
import { invalid } from '../../api/status.ts';
import type { Admission, AdmissionRequest } from '../../kube/admission.ts';
import type { Machinery } from './machinery.ts';
import type { RequestInfo } from './request-info.ts';

/** The admission plugins that want to see objects of a kind; kinds are compared by name, as clients may hold copies. */
export function admissionFor({ admission }: Machinery, kind: Kind): readonly Admission[] {
  return admission.filter((plugin) => plugin.kinds.some((k) => k.kind === kind.kind && k.group === kind.group));
}

export function admissionRequest(
  operation: AdmissionRequest['operation'],
  { dryRun = false, resource, user }: RequestInfo,
  object: KubeObject,
  old: KubeObject | undefined,
): AdmissionRequest {
  return { operation, kind: resource.kind, object, old, user: user.name, isDryRun: dryRun };
}

/** Lets each plugin change `request.object`, in their order. */
export async function mutate(plugins: readonly Admission[], request: AdmissionRequest): Promise<void> {
  for (const plugin of plugins) await plugin.mutate?.(request);
}

/** 422 with what all plugins have against `request.object`. */
export async function admit(plugins: readonly Admission[], request: AdmissionRequest): Promise<void> {
  const errors = [];
  for (const plugin of plugins) errors.push(...((await plugin.validate?.(request)) ?? []));
  if (errors.length > 0) throw invalid(request.kind, request.object.metadata.name, errors);
}
