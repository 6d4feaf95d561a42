import { sameJson } from '../../lib/same-json.ts';
import { type FieldError, fieldInvalid } from '../field-error.ts';
import type { KindContext } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { annotations } from './names.ts';

type Authored = KubeObject & { spec: unknown };

/** Notes who made the object and who last changed its spec, as annotations that nobody else can write. */
export function setAuthorship(object: Authored, { old: shown, stored, user }: KindContext<Authored>): void {
  // What a Service owns has the Service's annotations.
  if (isOwned(object)) return;
  object.metadata.annotations ??= {};
  const own = object.metadata.annotations;
  const old = stored ?? shown;
  const noted = old?.metadata.annotations ?? {};
  const isChanged = user !== undefined && !(old && sameJson(old.spec, object.spec));
  if (isChanged) own[annotations.lastModifier] = user.name;
  else keep(own, noted, annotations.lastModifier, stored && user?.name);
  if (!old && user) own[annotations.creator] = user.name;
  else keep(own, noted, annotations.creator);
}

/** Who made an object, and who changed it last, is the server's to say. */
export function validateAuthorship(object: Authored, { old }: KindContext<Authored>): FieldError[] {
  if (!old || isOwned(object)) return [];
  const errors = unchanged(object, old, annotations.creator);
  if (sameJson(old.spec, object.spec)) errors.push(...unchanged(object, old, annotations.lastModifier));
  return errors;
}

const isOwned = (object: KubeObject): boolean => (object.metadata.ownerReferences?.length ?? 0) > 0;

/**
 * A client that PUTs back what it made of its own manifest does not know these annotations. `undone` was noted for a
 * change that an admission plugin has taken back.
 */
function keep(own: Record<string, string>, noted: Record<string, string>, key: string, undone?: string): void {
  const value = noted[key];
  if ((own[key] === undefined || own[key] === undone) && value !== undefined) own[key] = value;
}

function unchanged(object: KubeObject, old: KubeObject, key: string): FieldError[] {
  const value = object.metadata.annotations?.[key];
  const before = old.metadata.annotations?.[key];
  return value === before || before === undefined
    ? []
    : [fieldInvalid(`metadata.annotations[${key}]`, value, 'annotation value is immutable')];
}
