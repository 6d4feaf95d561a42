import { type Pod, PodKind, updateForbidden } from '../../../api/core/pod.ts';
import { badRequest, invalid } from '../../../api/status.ts';
import { isJsonObject } from '../../../lib/json-object.ts';
import { sameJson } from '../../../lib/same-json.ts';
import { setOrDrop } from '../../../lib/set-or-drop.ts';
import type { NamedRequest } from '../request-info.ts';
import { copyJson, depthMax, measureJson } from '../schema/json.ts';
import { normalise } from '../schema/normalise.ts';
import { rootSchema } from '../schema/root-schema.ts';
import { validate } from '../schema/validate.ts';
import type { View } from '../strategy.ts';

/** `pods/NAME/ephemeralcontainers`: the pod, of which a write changes only these. */
export const ephemeralContainers: View<Pod> = {
  type: 'view',
  verbs: ['get', 'patch', 'update'],
  of: (pod) => pod,
  decode(body, name) {
    if (!isJsonObject(body) || body.kind !== 'Pod' || !isJsonObject(body.metadata)) {
      throw badRequest(`what was sent for the pod ${name} is no Pod of v1`);
    }
    if (measureJson(body).depth > depthMax) throw badRequest(`the object is nested deeper than ${depthMax} levels`);
    const pod = normalise(body, rootSchema(PodKind), () => {}) as unknown as Pod;
    const errors = validate(pod, rootSchema(PodKind)).filter((e) => e.reason === 'FieldValueTypeInvalid');
    if (errors.length > 0) throw invalid(PodKind, name, errors);
    return pod;
  },
  put(pod, view) {
    const next = copyJson(pod);
    setOrDrop(next.spec, 'ephemeralContainers', (view as Pod).spec?.ephemeralContainers);
    return next;
  },
};

/** Throws when a write of the pod itself changes them. */
export function requireSameEphemeralContainers(pod: Pod, old: Pod, { subresource }: NamedRequest): void {
  if (subresource !== undefined || sameJson(pod.spec.ephemeralContainers, old.spec.ephemeralContainers)) return;
  throw invalid(PodKind, pod.metadata.name, [updateForbidden]);
}
