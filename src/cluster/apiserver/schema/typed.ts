import type { Kind } from '../../../api/kind.ts';
import { badRequest, invalid } from '../../../api/status.ts';
import { isJsonObject } from '../../../lib/json-object.ts';
import { depthMax, measureJson } from './json.ts';
import { normalise } from './normalise.ts';
import { rootSchema } from './root-schema.ts';
import { validate } from './validate.ts';

/**
 * What a client sent to an action, as the schema of its kind has it. 400 for what is no object of the kind, 422 for
 * what is of the wrong type.
 */
export function typed(body: unknown, kind: Pick<Kind, 'group' | 'version' | 'kind' | 'plural' | 'schema'>): unknown {
  if (!isJsonObject(body)) throw badRequest(`the body of a ${kind.kind} must be an object`);
  const given = body.kind ?? kind.kind;
  if (given !== kind.kind) throw badRequest(`the body is a ${JSON.stringify(given)}, and a ${kind.kind} is needed`);
  if (measureJson(body).depth > depthMax) throw badRequest(`the object is nested deeper than ${depthMax} levels`);
  const schema = rootSchema(kind as Kind);
  const normal = normalise(body, schema, () => {});
  const errors = validate(normal, schema).filter(({ field }) => !field.startsWith('metadata'));
  if (errors.length > 0) throw invalid(kind, '', errors);
  return normal;
}
