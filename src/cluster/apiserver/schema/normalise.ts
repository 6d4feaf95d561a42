import type { Schema } from '../../../api/schema.ts';
import { isJsonObject, type JsonObject } from '../../../lib/json-object.ts';
import { childPath, copyJson, field, setField } from './json.ts';
import { embeddedProperties } from './root-schema.ts';

/**
 * A copy of `value` as `schema` has it: unknown fields are left out and their paths given to `onUnknown`, nulls that
 * the schema does not allow are left out, and defaults are filled in. What is of the wrong type is kept for
 * validation to complain about.
 */
export function normalise(value: unknown, schema: Schema, onUnknown: (path: string) => void): unknown {
  return walk(value, schema, '', onUnknown);
}

function walk(value: unknown, schema: Schema, path: string, onUnknown: (path: string) => void): unknown {
  if (Array.isArray(value)) {
    const { items } = schema;
    if (!items) return copyJson(value);
    return value.map((item, i) => walk(item, items, `${path}[${i}]`, onUnknown));
  }
  if (!isJsonObject(value)) return value;
  if (schema.type !== 'object' && !schema.properties) return copyJson(value);
  return walkObject(value, schema, path, onUnknown);
}

function walkObject(value: JsonObject, schema: Schema, path: string, onUnknown: (path: string) => void): JsonObject {
  const copy: JsonObject = {};
  const preserves = schema['x-kubernetes-preserve-unknown-fields'] === true || schema.additionalProperties === true;
  for (const key of Object.keys(value)) {
    const given = value[key];
    if (given === undefined) continue;
    const child = childSchema(schema, key);
    if (child) {
      if (given === null && !child.nullable) continue;
      setField(copy, key, walk(given, child, childPath(path, key), onUnknown));
    } else if (preserves) {
      setField(copy, key, copyJson(given));
    } else {
      onUnknown(childPath(path, key));
    }
  }
  fillDefaults(copy, schema);
  return copy;
}

function childSchema(schema: Schema, key: string): Schema | undefined {
  const { properties, additionalProperties } = schema;
  if (properties && Object.hasOwn(properties, key)) return properties[key];
  if (schema['x-kubernetes-embedded-resource'] && Object.hasOwn(embeddedProperties, key)) {
    return embeddedProperties[key];
  }
  return typeof additionalProperties === 'object' ? additionalProperties : undefined;
}

function fillDefaults(object: JsonObject, schema: Schema): void {
  for (const key in schema.properties) {
    const child = schema.properties[key] as Schema;
    if (child.default === undefined || field(object, key) !== undefined) continue;
    setField(
      object,
      key,
      walk(child.default, child, '', () => {}),
    );
  }
}
