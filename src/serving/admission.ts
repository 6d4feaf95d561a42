import { type FieldError, fieldInvalid } from '../api/field-error.ts';
import type { KubeObject } from '../api/meta.ts';
import { type Configuration, ConfigurationKind } from '../api/serving/configuration.ts';
import { annotations } from '../api/serving/names.ts';
import { type Route, RouteKind } from '../api/serving/route.ts';
import { type Service, ServiceKind } from '../api/serving/service.ts';
import type { Admission, AdmissionRequest } from '../kube/admission.ts';
import { sameJson } from '../lib/same-json.ts';

type Authored = Service | Configuration | Route;

/** Who made an object and who last changed its spec, as annotations that nobody else can write. */
const authorship: Admission<Authored> = {
  name: 'serving-authorship',
  kinds: [ServiceKind, ConfigurationKind, RouteKind],

  mutate({ operation, object, old, user }) {
    // What a Service owns has the Service's annotations.
    if (operation === 'DELETE' || isOwned(object)) return;
    object.metadata.annotations ??= {};
    const own = object.metadata.annotations;
    if (!old) {
      own[annotations.creator] = user;
      own[annotations.lastModifier] = user;
      return;
    }
    const before = old.metadata.annotations ?? {};
    keep(own, before, annotations.creator);
    if (sameJson(old.spec, object.spec)) keep(own, before, annotations.lastModifier);
    else own[annotations.lastModifier] = user;
  },

  validate({ operation, object, old }: AdmissionRequest<Authored>): FieldError[] {
    if (operation !== 'UPDATE' || !old || isOwned(object)) return [];
    const errors = unchanged(object, old, annotations.creator);
    if (sameJson(old.spec, object.spec)) errors.push(...unchanged(object, old, annotations.lastModifier));
    return errors;
  },
};

/** What Serving checks and changes of objects on their way in, beyond what their kinds do. */
export const servingAdmission: readonly Admission[] = [authorship];

const isOwned = (object: KubeObject): boolean => (object.metadata.ownerReferences?.length ?? 0) > 0;

/** A client that PUTs back what it made of its own manifest does not know these annotations. */
function keep(own: Record<string, string>, before: Record<string, string>, key: string): void {
  const value = before[key];
  if (own[key] === undefined && value !== undefined) own[key] = value;
}

function unchanged(object: KubeObject, old: KubeObject, key: string): FieldError[] {
  const value = object.metadata.annotations?.[key];
  const before = old.metadata.annotations?.[key];
  return value === before || before === undefined
    ? []
    : [fieldInvalid(`metadata.annotations[${key}]`, value, 'annotation value is immutable')];
}
