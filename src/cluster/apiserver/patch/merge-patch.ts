import { isJsonObject, type JsonObject } from '../../../lib/json-object.ts';
import { copyJson, field, setField } from '../schema/json.ts';

/** A JSON Merge Patch (RFC 7386): objects merge, null deletes, all else (lists too) replaces. Changes neither. */
export function applyMergePatch(target: unknown, patch: unknown): unknown {
  if (!isJsonObject(patch)) return copyJson(patch);
  const result: JsonObject = isJsonObject(target) ? { ...target } : {};
  for (const key of Object.keys(patch)) {
    const value = patch[key];
    if (value === null) delete result[key];
    else if (value !== undefined) setField(result, key, applyMergePatch(field(result, key), value));
  }
  return result;
}
