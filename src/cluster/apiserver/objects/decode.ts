import type { Kind } from '../../../api/kind.ts';
import { apiVersionOf } from '../../../api/kind.ts';
import type { KubeObject } from '../../../api/meta.ts';
import { badRequest, invalid } from '../../../api/status.ts';
import { isJsonObject, type JsonObject } from '../../../lib/json-object.ts';
import type { Target } from '../request-info.ts';
import type { WriteOptions } from '../resources.ts';
import { depthMax, measureJson } from '../schema/json.ts';
import { normalise } from '../schema/normalise.ts';
import { rootSchema } from '../schema/root-schema.ts';
import { validate } from '../schema/validate.ts';

export interface Decoded {
  /** A copy of its own: pruned, with the schema's defaults, of the right types. */
  object: KubeObject;
  warnings: string[];
}

/** At most this many unknown fields are named, each by so much of its path, so that an answer has a bounded size. */
const unknownNamedMax = 50;
const pathCharactersMax = 256;

/**
 * Turns what a client sent into an object of the target's kind. 400 for another kind, namespace or (with Strict)
 * unknown and repeated fields; 422 for wrong types.
 */
export function decode(target: Target, body: unknown, options: WriteOptions): Decoded {
  const { kind } = target.resource;
  if (!isJsonObject(body)) throw badRequest(`the body of a ${kind.kind} must be an object`);
  // Whatever it came as, and whatever a patch has made of it: from here on everything may recurse.
  if (measureJson(body).depth > depthMax) throw badRequest(`the object is nested deeper than ${depthMax} levels`);
  const problems: string[] = [...(options.decodingErrors ?? [])];
  let unnamed = 0;
  const normal = normalise(body, rootSchema(kind), (path) => {
    if (problems.length < unknownNamedMax) {
      problems.push(`unknown field ${JSON.stringify(path.slice(0, pathCharactersMax))}`);
    } else unnamed++;
  }) as JsonObject;
  if (unnamed > 0) problems.push(`and ${unnamed} more unknown fields`);
  const warnings = judge(problems, kind, options);

  checkType(normal, kind);
  if (normal.metadata === undefined || !isJsonObject(normal.metadata)) normal.metadata = {};
  const object = normal as unknown as KubeObject;
  const typeErrors = validate(object, rootSchema(kind)).filter((e) => e.reason === 'FieldValueTypeInvalid');
  if (typeErrors.length > 0) throw invalid(kind, object.metadata.name ?? '', typeErrors);
  placeInNamespace(object, target);
  dropEmpty(object);
  if (target.resource.deprecationWarning) warnings.push(target.resource.deprecationWarning);
  return { object, warnings };
}

function judge(problems: readonly string[], kind: Kind, options: WriteOptions): string[] {
  if (problems.length === 0 || options.fieldValidation === 'Ignore') return [];
  if (options.fieldValidation !== 'Strict') return [...problems];
  throw badRequest(
    `${kind.kind} in version "${kind.version}" cannot be handled as a ${kind.kind}: ` +
      `strict decoding error: ${problems.join(', ')}`,
  );
}

function checkType(body: JsonObject, kind: Kind): void {
  const expected = apiVersionOf(kind);
  body.apiVersion ??= expected;
  body.kind ??= kind.kind;
  if (body.kind !== kind.kind) {
    throw badRequest(
      `the kind in the data (${String(body.kind)}) does not match the kind of the resource (${kind.kind})`,
    );
  }
  if (body.apiVersion !== expected) {
    throw badRequest(
      `the API version in the data (${String(body.apiVersion)}) does not match the expected API version (${expected})`,
    );
  }
}

/** Empty is the same as absent for these; Kubernetes stores neither. */
function dropEmpty({ metadata }: KubeObject): void {
  for (const key of ['labels', 'annotations', 'finalizers', 'ownerReferences'] as const) {
    const value = metadata[key];
    if (value !== undefined && Object.keys(value).length === 0) delete metadata[key];
  }
  for (const key of ['name', 'namespace', 'generateName', 'resourceVersion', 'uid'] as const) {
    if (metadata[key] === '') delete (metadata as Partial<typeof metadata>)[key];
  }
}

function placeInNamespace(object: KubeObject, { resource, namespace }: Target): void {
  if (!resource.kind.isNamespaced) {
    delete object.metadata.namespace;
    return;
  }
  if (namespace === undefined || namespace === '') {
    throw badRequest(`${resource.kind.plural} live in a namespace: the request names none`);
  }
  const own = object.metadata.namespace;
  if (own !== undefined && own !== '' && own !== namespace) {
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
  }
  object.metadata.namespace = namespace;
}
