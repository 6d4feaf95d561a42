import type { Schema } from '../../../api/schema.ts';
import { badRequest } from '../../../api/status.ts';
import { isJsonObject, type JsonObject } from '../../../lib/json-object.ts';
import { jsonIdentity } from '../../../lib/same-json.ts';
import { copyJson, field, setField } from '../schema/json.ts';

const deleteFromPrimitives = '$deleteFromPrimitiveList/';
const setElementOrder = '$setElementOrder/';

/**
 * Kubernetes' strategic merge patch: as a merge patch, but lists merge where the schema says so by
 * `x-kubernetes-patch-strategy: merge`: by `x-kubernetes-patch-merge-key`, or as sets of primitives. Directives:
 * `$patch: delete|replace|merge`, `$deleteFromPrimitiveList/f`, `$setElementOrder/f`, `$retainKeys`. Changes neither
 * argument. 400 for directives that make no sense.
 */
export function applyStrategicMergePatch(target: unknown, patch: JsonObject, schema: Schema | undefined): unknown {
  return mergeObject(isJsonObject(target) ? target : {}, patch, schema);
}

function mergeObject(target: JsonObject, patch: JsonObject, schema: Schema | undefined): JsonObject {
  const directive = patch.$patch;
  if (directive === 'replace') return withoutDirectives(patch);
  if (directive === 'delete') return {};
  if (directive !== undefined && directive !== 'merge') throw unknownDirective(directive);

  const result: JsonObject = { ...target };
  retainKeys(result, patch.$retainKeys);
  for (const key of Object.keys(patch)) {
    if (key.startsWith('$')) continue;
    const value = patch[key];
    const child = childSchema(schema, key);
    if (value === null) delete result[key];
    else if (value !== undefined) {
      const merged = mergeValue(field(result, key), value, child);
      if (merged === undefined) delete result[key];
      else setField(result, key, merged);
    }
  }
  for (const key of Object.keys(patch)) {
    if (key.startsWith(deleteFromPrimitives))
      deletePrimitives(result, key.slice(deleteFromPrimitives.length), patch[key]);
    if (key.startsWith(setElementOrder)) {
      const name = key.slice(setElementOrder.length);
      reorder(result, name, patch[key], childSchema(schema, name));
    }
  }
  return result;
}

function mergeValue(current: unknown, value: unknown, schema: Schema | undefined): unknown {
  if (isJsonObject(value)) {
    if (value.$patch === 'delete') return undefined;
    return mergeObject(isJsonObject(current) ? current : {}, value, schema);
  }
  if (Array.isArray(value)) return mergeList(Array.isArray(current) ? current : [], value, schema);
  return value;
}

function mergeList(current: readonly unknown[], patch: readonly unknown[], schema: Schema | undefined): unknown[] {
  const isMerged = strategies(schema).includes('merge');
  if (!isMerged || patch.some((item) => isJsonObject(item) && item.$patch === 'replace')) {
    return patch.filter((item) => !isReplaceMarker(item)).map((item) => withoutListDirectives(item));
  }
  const mergeKey = schema?.['x-kubernetes-patch-merge-key'];
  if (mergeKey === undefined) return mergePrimitives(current, patch);
  return mergeByKey(current, patch, mergeKey, schema?.items);
}

function mergePrimitives(current: readonly unknown[], patch: readonly unknown[]): unknown[] {
  const result = [...current];
  const known = new Set(current.map(jsonIdentity));
  for (const item of patch) {
    const identity = jsonIdentity(item);
    if (known.has(identity)) continue;
    known.add(identity);
    result.push(copyJson(item));
  }
  return result;
}

/** Of several items with one key the first is the one that merges; deletion takes them all. */
function mergeByKey(
  current: readonly unknown[],
  patch: readonly unknown[],
  mergeKey: string,
  schema: Schema | undefined,
): unknown[] {
  const result: unknown[] = [...current];
  const places = new Map<string, number[]>();
  const remember = (item: unknown, at: number) => {
    if (!isJsonObject(item)) return;
    const identity = jsonIdentity(item[mergeKey]);
    const known = places.get(identity);
    if (known) known.push(at);
    else places.set(identity, [at]);
  };
  result.forEach(remember);
  for (const item of patch) {
    if (!isJsonObject(item)) throw badRequest(`a list that merges by "${mergeKey}" has an item that is no object`);
    if (item[mergeKey] === undefined)
      throw badRequest(`map: ${shortJson(item)} does not contain declared merge key: ${mergeKey}`);
    const identity = jsonIdentity(item[mergeKey]);
    const at = places.get(identity) ?? [];
    const [first] = at;
    if (item.$patch === 'delete') {
      for (const place of at) result[place] = deleted;
      places.delete(identity);
    } else if (first === undefined) {
      remember(item, result.length);
      result.push(mergeObject({}, item, schema));
    } else result[first] = mergeObject(result[first] as JsonObject, item, schema);
  }
  return result.filter((item) => item !== deleted);
}

/** Stands where an item was, until all of the patch is merged. */
const deleted = Symbol('deleted');

function deletePrimitives(result: JsonObject, key: string, values: unknown): void {
  if (!Array.isArray(values)) throw badRequest(`${deleteFromPrimitives}${key} must be a list`);
  const current = field(result, key);
  if (!Array.isArray(current)) return;
  const unwanted = new Set(values.map(jsonIdentity));
  setField(
    result,
    key,
    current.filter((item) => !unwanted.has(jsonIdentity(item))),
  );
}

/** Items that the order names stand in that order; the others keep their place relative to the item before them. */
function reorder(result: JsonObject, key: string, order: unknown, schema: Schema | undefined): void {
  if (!Array.isArray(order)) throw badRequest(`${setElementOrder}${key} must be a list`);
  const current = field(result, key);
  if (!Array.isArray(current)) return;
  const mergeKey = schema?.['x-kubernetes-patch-merge-key'];
  const identity = (item: unknown) =>
    jsonIdentity(mergeKey !== undefined && isJsonObject(item) ? item[mergeKey] : item);
  const rank = new Map(order.map((item, i) => [identity(item), i]));
  const leading: unknown[] = [];
  const ranked: { item: unknown; rank: number; followers: unknown[] }[] = [];
  for (const item of current) {
    const own = rank.get(identity(item));
    if (own !== undefined) ranked.push({ item, rank: own, followers: [] });
    else (ranked.at(-1)?.followers ?? leading).push(item);
  }
  ranked.sort((a, b) => a.rank - b.rank);
  setField(result, key, [...leading, ...ranked.flatMap(({ item, followers }) => [item, ...followers])]);
}

function retainKeys(result: JsonObject, keys: unknown): void {
  if (keys === undefined) return;
  if (!Array.isArray(keys)) throw badRequest('$retainKeys must be a list of names');
  const kept = new Set(keys);
  for (const key of Object.keys(result)) if (!kept.has(key)) delete result[key];
}

function withoutDirectives(patch: JsonObject): JsonObject {
  const result: JsonObject = {};
  for (const key of Object.keys(patch)) {
    if (key.startsWith('$') || patch[key] === null || patch[key] === undefined) continue;
    setField(result, key, withoutListDirectives(patch[key]));
  }
  return result;
}

function withoutListDirectives(value: unknown): unknown {
  if (Array.isArray(value))
    return value.filter((item) => !isReplaceMarker(item)).map((item) => withoutListDirectives(item));
  return isJsonObject(value) ? withoutDirectives(value) : value;
}

/** `{$patch: replace}` in a list says that the list replaces the one that is there. */
function isReplaceMarker(item: unknown): boolean {
  return isJsonObject(item) && item.$patch === 'replace' && Object.keys(item).length === 1;
}

function childSchema(schema: Schema | undefined, key: string): Schema | undefined {
  const { properties = {}, additionalProperties } = schema ?? {};
  if (Object.hasOwn(properties, key)) return properties[key];
  return typeof additionalProperties === 'object' ? additionalProperties : undefined;
}

const strategies = (schema: Schema | undefined) => (schema?.['x-kubernetes-patch-strategy'] ?? '').split(',');

const shortJson = (value: unknown): string => JSON.stringify(value).slice(0, 256);

function unknownDirective(directive: unknown) {
  return badRequest(`unknown patch directive $patch: ${shortJson(directive)}`);
}
