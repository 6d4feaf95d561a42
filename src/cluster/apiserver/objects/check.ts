import type { FieldError } from '../../../api/field-error.ts';
import type { KindContext } from '../../../api/kind.ts';
import type { KubeObject } from '../../../api/meta.ts';
import { invalid } from '../../../api/status.ts';
import { sameJson } from '../../../lib/same-json.ts';
import type { ServedResource } from '../resources.ts';
import { rootSchema } from '../schema/root-schema.ts';
import { validate } from '../schema/validate.ts';
import { validateMetadata } from './metadata.ts';

/**
 * Runs the kind's own defaults. They may count on the fields that the schema requires, so when they fail over an object
 * that lacks some, that is what the user hears.
 */
export function setDefaults(resource: ServedResource, object: KubeObject, context: KindContext): void {
  const { kind } = resource;
  if (!kind.setDefaults) return;
  try {
    kind.setDefaults(object, context);
  } catch (error) {
    const missing = validate(object, rootSchema(kind)).filter((e) => e.reason === 'FieldValueRequired');
    if (missing.length > 0) throw invalid(kind, object.metadata.name ?? '', missing);
    throw error;
  }
}

/**
 * 422 with all that is wrong with the object: metadata, schema, then (when the schema holds) the kind's own rules; the
 * latter not of one that only waits for its finalizers: a limit that was lowered since would keep it for good.
 */
export function requireValid(resource: ServedResource, object: KubeObject, context: KindContext): void {
  const { kind } = resource;
  const errors = [...validateMetadata(object, context.old, kind.isPathNamed), ...schemaErrors(resource, object)];
  const isJudged = !isOnlyLeaving(object, context.old) && errors.every((e) => e.field.startsWith('metadata'));
  if (isJudged) errors.push(...(kind.validate?.(object, context) ?? []));
  if (errors.length > 0) throw invalid(kind, object.metadata.name ?? '', withoutRepeats(errors));
}

function isOnlyLeaving(object: KubeObject, old: KubeObject | undefined): boolean {
  return old?.metadata.deletionTimestamp !== undefined && sameJson({ ...old, metadata: object.metadata }, object);
}

/** 422 with what the schema has against one field. */
export function requireValidField(resource: ServedResource, object: KubeObject, field: string): void {
  const errors = schemaErrors(resource, object).filter((e) => e.field.split(/[.[]/)[0] === field);
  if (errors.length > 0) throw invalid(resource.kind, object.metadata.name, errors);
}

/** Lists of built-ins may hold what their map keys call duplicates (container ports); their own rules say where not. */
function schemaErrors({ kind, isBuiltin }: ServedResource, object: KubeObject): FieldError[] {
  const errors = validate(object, rootSchema(kind));
  return isBuiltin ? errors.filter((e) => e.reason !== 'FieldValueDuplicate') : errors;
}

/** A kind's rule on metadata.name is often the general one again. */
function withoutRepeats(errors: readonly FieldError[]): FieldError[] {
  const seen = new Set<string>();
  return errors.filter((error) => {
    const isNew = !(error.field === 'metadata.name' && seen.has(error.field));
    seen.add(error.field);
    return isNew;
  });
}
