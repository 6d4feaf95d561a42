import type { FieldError } from '../../../api/field-error.ts';
import type { Schema } from '../../../api/schema.ts';
import { sameJson } from '../../../lib/same-json.ts';
import { formatError } from './formats.ts';
import { childPath, isJsonObject, type JsonObject } from './json.ts';
import { matchPattern } from './pattern.ts';

/** What `schema` says against `value`, in the words of Kubernetes' API server. Unknown fields are no matter here. */
export function validate(value: unknown, schema: Schema, path = ''): FieldError[] {
  const errors: FieldError[] = [];
  check(value, schema, path, errors);
  return errors;
}

function check(value: unknown, schema: Schema, path: string, errors: FieldError[]): void {
  if (value === null && schema.nullable) return;
  const wrongType = typeError(value, schema, path);
  if (wrongType) {
    errors.push(wrongType);
    return;
  }
  checkEnum(value, schema, path, errors);
  if (typeof value === 'string') checkString(value, schema, path, errors);
  else if (typeof value === 'number') checkNumber(value, schema, path, errors);
  else if (Array.isArray(value)) checkArray(value, schema, path, errors);
  else if (isJsonObject(value)) checkObject(value, schema, path, errors);
  checkCombinations(value, schema, path, errors);
}

function typeError(value: unknown, schema: Schema, path: string): FieldError | undefined {
  const actual = typeOf(value);
  if (schema['x-kubernetes-int-or-string']) {
    if (actual === 'integer' || actual === 'string') return undefined;
    return wrongType(path, 'integer,string', actual);
  }
  const { type } = schema;
  if (type === undefined || type === actual || (type === 'number' && actual === 'integer')) return undefined;
  return wrongType(path, type, actual);
}

function wrongType(path: string, expected: string, actual: string): FieldError {
  const said = JSON.stringify(actual);
  const message = `Invalid value: ${said}: ${path} in body must be of type ${expected}: ${said}`;
  return { field: path, reason: 'FieldValueTypeInvalid', message };
}

function typeOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  return typeof value;
}

function checkEnum(value: unknown, schema: Schema, path: string, errors: FieldError[]): void {
  if (!schema.enum || schema.enum.some((allowed) => sameJson(allowed, value))) return;
  const supported = schema.enum.map((allowed) => JSON.stringify(allowed)).join(', ');
  const message = `Unsupported value: ${JSON.stringify(value)}: supported values: ${supported}`;
  errors.push({ field: path, reason: 'FieldValueNotSupported', message });
}

function checkString(value: string, schema: Schema, path: string, errors: FieldError[]): void {
  const { minLength, maxLength, pattern, format } = schema;
  if (minLength !== undefined && lengthOf(value) < minLength) {
    errors.push(invalidValue(path, value, `${path} in body should be at least ${minLength} chars long`));
  }
  if (maxLength !== undefined && lengthOf(value) > maxLength) {
    const message = `Too long: may not be more than ${maxLength} bytes`;
    errors.push({ field: path, reason: 'FieldValueInvalid', message });
  }
  if (pattern !== undefined) {
    const outcome = matchPattern(pattern, value);
    if (outcome === 'no') errors.push(invalidValue(path, value, `${path} in body should match '${pattern}'`));
    if (outcome === 'undecided') {
      const remedy = 'give a shorter value, or a simpler pattern';
      errors.push(
        invalidValue(path, value, `${path} in body could not be matched with '${pattern}' in time: ${remedy}`),
      );
    }
  }
  const wrong = format === undefined ? undefined : formatError(format, value);
  if (wrong !== undefined)
    errors.push(invalidValue(path, value, `${path} in body must be of type ${format}: ${wrong}`));
}

function checkNumber(value: number, schema: Schema, path: string, errors: FieldError[]): void {
  const { minimum, maximum, format } = schema;
  if (minimum !== undefined && value < minimum) {
    errors.push(invalidValue(path, value, `${path} in body should be greater than or equal to ${minimum}`));
  }
  if (maximum !== undefined && value > maximum) {
    errors.push(invalidValue(path, value, `${path} in body should be less than or equal to ${maximum}`));
  }
  if (format === 'int32' && (value < -(2 ** 31) || value >= 2 ** 31)) {
    errors.push(invalidValue(path, value, `${path} in body must be of type int32`));
  }
}

function checkArray(value: unknown[], schema: Schema, path: string, errors: FieldError[]): void {
  const { minItems, maxItems, items } = schema;
  if (minItems !== undefined && value.length < minItems) {
    errors.push(invalidValue(path, value.length, `${path} in body should have at least ${minItems} items`));
  }
  if (maxItems !== undefined && value.length > maxItems) {
    const message = `Too many: ${value.length}: must have at most ${maxItems} items`;
    errors.push({ field: path, reason: 'FieldValueInvalid', message });
    return;
  }
  if (items) for (const [i, item] of value.entries()) check(item, items, `${path}[${i}]`, errors);
  checkUnique(value, schema, path, errors);
}

function checkUnique(value: unknown[], schema: Schema, path: string, errors: FieldError[]): void {
  const keys = schema['x-kubernetes-list-map-keys'];
  const listType = schema['x-kubernetes-list-type'];
  if (listType !== 'set' && !(listType === 'map' && keys)) return;
  const seen = new Set<string>();
  for (const [i, item] of value.entries()) {
    const identity = listType === 'set' ? item : keyOf(item, keys ?? []);
    const text = JSON.stringify(identity);
    if (seen.has(text)) {
      errors.push({ field: `${path}[${i}]`, reason: 'FieldValueDuplicate', message: `Duplicate value: ${text}` });
    }
    seen.add(text);
  }
}

function keyOf(item: unknown, keys: readonly string[]): JsonObject {
  const from = isJsonObject(item) ? item : {};
  return Object.fromEntries(keys.map((key) => [key, from[key]]));
}

function checkObject(value: JsonObject, schema: Schema, path: string, errors: FieldError[]): void {
  for (const key of schema.required ?? []) {
    if (!Object.hasOwn(value, key)) {
      errors.push({ field: childPath(path, key), reason: 'FieldValueRequired', message: 'Required value' });
    }
  }
  const size = schema.minProperties === undefined && schema.maxProperties === undefined ? 0 : Object.keys(value).length;
  if (schema.minProperties !== undefined && size < schema.minProperties) {
    errors.push(invalidValue(path, size, `${path} in body should have at least ${schema.minProperties} properties`));
  }
  if (schema.maxProperties !== undefined && size > schema.maxProperties) {
    const message = `Too many: ${size}: must have at most ${schema.maxProperties} items`;
    errors.push({ field: path, reason: 'FieldValueInvalid', message });
  }
  const { properties, additionalProperties } = schema;
  for (const key of Object.keys(value)) {
    const isNamed = properties !== undefined && Object.hasOwn(properties, key);
    const child = isNamed ? properties[key] : additionalProperties;
    if (typeof child === 'object') check(value[key], child, childPath(path, key), errors);
  }
}

function checkCombinations(value: unknown, schema: Schema, path: string, errors: FieldError[]): void {
  const holds = (candidate: Schema) => validate(value, candidate, path).length === 0;
  for (const part of schema.allOf ?? []) check(value, part, path, errors);
  if (schema.anyOf && !schema['x-kubernetes-int-or-string'] && !schema.anyOf.some(holds)) {
    errors.push(invalidValue(path, value, `${path} in body must validate at least one schema (anyOf)`));
  }
  if (schema.oneOf) {
    const valid = schema.oneOf.filter(holds).length;
    if (valid !== 1) {
      const found = valid === 0 ? 'Found none valid' : `Found ${valid} valid alternatives`;
      errors.push(invalidValue(path, value, `${path} in body must validate one and only one schema (oneOf). ${found}`));
    }
  }
  if (schema.not && holds(schema.not)) {
    errors.push(invalidValue(path, value, `${path} in body must not validate the schema (not)`));
  }
}

function invalidValue(field: string, value: unknown, why: string): FieldError {
  return { field, reason: 'FieldValueInvalid', message: `Invalid value: ${JSON.stringify(value)}: ${why}` };
}

/** In characters, as Go counts runes. */
function lengthOf(text: string): number {
  let length = 0;
  for (const _ of text) length++;
  return length;
}
