import type { FieldError } from '../../../api/field-error.ts';
import type { Schema } from '../../../api/schema.ts';
import { int32Max, int32Min } from '../../../lib/int32.ts';
import { isJsonObject, type JsonObject } from '../../../lib/json-object.ts';
import { jsonIdentity, sameJson } from '../../../lib/same-json.ts';
import { formatError } from './formats.ts';
import { childPath, measureJson } from './json.ts';
import { matchPattern, PatternBudget } from './pattern.ts';

/** What `schema` says against `value`, in the words of Kubernetes' API server. Unknown fields are no matter here. */
export function validate(value: unknown, schema: Schema, path = ''): FieldError[] {
  const findings = new Findings(new PatternBudget(), errorsMax);
  check(value, schema, path, findings);
  return findings.errors;
}

/** An object can break a rule at hundreds of thousands of places: this many are told, with so much of each value. */
const errorsMax = 100;
const quotedCharactersMax = 1024;

/** What was found so far. `isFull`: there is no use in looking further. */
class Findings {
  readonly errors: FieldError[] = [];
  readonly patterns: PatternBudget;
  readonly #max: number;

  constructor(patterns: PatternBudget, max: number) {
    this.patterns = patterns;
    this.#max = max;
  }

  get isFull(): boolean {
    return this.errors.length >= this.#max;
  }

  add(error: FieldError): void {
    if (!this.isFull) this.errors.push(error);
  }
}

function check(value: unknown, schema: Schema, path: string, errors: Findings): void {
  if (errors.isFull) return;
  if (value === null && schema.nullable) return;
  const wrongType = typeError(value, schema, path);
  if (wrongType) {
    errors.add(wrongType);
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

function checkEnum(value: unknown, schema: Schema, path: string, errors: Findings): void {
  if (!schema.enum || schema.enum.some((allowed) => sameJson(allowed, value))) return;
  const supported = schema.enum.map((allowed) => JSON.stringify(allowed)).join(', ');
  const message = `Unsupported value: ${quoted(value)}: supported values: ${supported.slice(0, quotedCharactersMax)}`;
  errors.add({ field: path, reason: 'FieldValueNotSupported', message });
}

function checkString(value: string, schema: Schema, path: string, errors: Findings): void {
  const { minLength, maxLength, pattern, format } = schema;
  if (minLength !== undefined && lengthOf(value) < minLength) {
    errors.add(invalidValue(path, value, `${path} in body should be at least ${minLength} chars long`));
  }
  if (maxLength !== undefined && lengthOf(value) > maxLength) {
    const message = `Too long: may not be more than ${maxLength} bytes`;
    errors.add({ field: path, reason: 'FieldValueInvalid', message });
  }
  if (pattern !== undefined) {
    const outcome = matchPattern(pattern, value, errors.patterns);
    if (outcome === 'no') errors.add(invalidValue(path, value, `${path} in body should match '${pattern}'`));
    if (outcome === 'undecided') {
      const remedy = 'give a shorter value, or a simpler pattern';
      errors.add(
        invalidValue(path, value, `${path} in body could not be matched with '${pattern}' in time: ${remedy}`),
      );
    }
  }
  const wrong = format === undefined ? undefined : formatError(format, value);
  if (wrong !== undefined) errors.add(invalidValue(path, value, `${path} in body must be of type ${format}: ${wrong}`));
}

function checkNumber(value: number, schema: Schema, path: string, errors: Findings): void {
  const { minimum, maximum, format } = schema;
  if (minimum !== undefined && value < minimum) {
    errors.add(invalidValue(path, value, `${path} in body should be greater than or equal to ${minimum}`));
  }
  if (maximum !== undefined && value > maximum) {
    errors.add(invalidValue(path, value, `${path} in body should be less than or equal to ${maximum}`));
  }
  if (format === 'int32' && (value < int32Min || value > int32Max)) {
    errors.add(invalidValue(path, value, `${path} in body must be of type int32`));
  }
}

function checkArray(value: unknown[], schema: Schema, path: string, errors: Findings): void {
  const { minItems, maxItems, items } = schema;
  if (minItems !== undefined && value.length < minItems) {
    errors.add(invalidValue(path, value.length, `${path} in body should have at least ${minItems} items`));
  }
  if (maxItems !== undefined && value.length > maxItems) {
    const message = `Too many: ${value.length}: must have at most ${maxItems} items`;
    errors.add({ field: path, reason: 'FieldValueInvalid', message });
    return;
  }
  if (items) {
    for (const [i, item] of value.entries()) {
      if (errors.isFull) return;
      check(item, items, `${path}[${i}]`, errors);
    }
  }
  checkUnique(value, schema, path, errors);
}

function checkUnique(value: unknown[], schema: Schema, path: string, errors: Findings): void {
  const keys = schema['x-kubernetes-list-map-keys'];
  const listType = schema['x-kubernetes-list-type'];
  if (listType !== 'set' && !(listType === 'map' && keys)) return;
  const seen = new Set<string>();
  for (const [i, item] of value.entries()) {
    const identity = listType === 'set' ? item : keyOf(item, keys ?? []);
    const text = jsonIdentity(identity);
    if (seen.has(text)) {
      errors.add({
        field: `${path}[${i}]`,
        reason: 'FieldValueDuplicate',
        message: `Duplicate value: ${quoted(identity)}`,
      });
    }
    seen.add(text);
  }
}

function keyOf(item: unknown, keys: readonly string[]): JsonObject {
  const from = isJsonObject(item) ? item : {};
  return Object.fromEntries(keys.map((key) => [key, from[key]]));
}

function checkObject(value: JsonObject, schema: Schema, path: string, errors: Findings): void {
  for (const key of schema.required ?? []) {
    if (!Object.hasOwn(value, key)) {
      errors.add({ field: childPath(path, key), reason: 'FieldValueRequired', message: 'Required value' });
    }
  }
  const size = schema.minProperties === undefined && schema.maxProperties === undefined ? 0 : Object.keys(value).length;
  if (schema.minProperties !== undefined && size < schema.minProperties) {
    errors.add(invalidValue(path, size, `${path} in body should have at least ${schema.minProperties} properties`));
  }
  if (schema.maxProperties !== undefined && size > schema.maxProperties) {
    const message = `Too many: ${size}: must have at most ${schema.maxProperties} items`;
    errors.add({ field: path, reason: 'FieldValueInvalid', message });
  }
  const { properties, additionalProperties } = schema;
  for (const key of Object.keys(value)) {
    const isNamed = properties !== undefined && Object.hasOwn(properties, key);
    const child = isNamed ? properties[key] : additionalProperties;
    if (typeof child === 'object') check(value[key], child, childPath(path, key), errors);
  }
}

function checkCombinations(value: unknown, schema: Schema, path: string, errors: Findings): void {
  // Whether it holds is all that is asked: the first error ends the look.
  const holds = (candidate: Schema) => {
    const findings = new Findings(errors.patterns, 1);
    check(value, candidate, path, findings);
    return !findings.isFull;
  };
  for (const part of schema.allOf ?? []) check(value, part, path, errors);
  if (schema.anyOf && !schema['x-kubernetes-int-or-string'] && !schema.anyOf.some(holds)) {
    errors.add(invalidValue(path, value, `${path} in body must validate at least one schema (anyOf)`));
  }
  if (schema.oneOf) {
    const valid = schema.oneOf.filter(holds).length;
    if (valid !== 1) {
      const found = valid === 0 ? 'Found none valid' : `Found ${valid} valid alternatives`;
      errors.add(invalidValue(path, value, `${path} in body must validate one and only one schema (oneOf). ${found}`));
    }
  }
  if (schema.not && holds(schema.not)) {
    errors.add(invalidValue(path, value, `${path} in body must not validate the schema (not)`));
  }
}

function invalidValue(field: string, value: unknown, why: string): FieldError {
  return { field, reason: 'FieldValueInvalid', message: `Invalid value: ${quoted(value)}: ${why}` };
}

/** The value as JSON, cut where it is long. What is large is not even made into text: it may be megabytes. */
function quoted(value: unknown): string {
  const { bytes } = measureJson(value, 16 * quotedCharactersMax);
  if (bytes > 16 * quotedCharactersMax) {
    return typeof value === 'string' ? `${JSON.stringify(value.slice(0, quotedCharactersMax))}…` : '(a large value)';
  }
  const text = JSON.stringify(value) ?? 'null';
  return text.length > quotedCharactersMax ? `${text.slice(0, quotedCharactersMax)}…` : text;
}

/** In characters, as Go counts runes. */
function lengthOf(text: string): number {
  let length = 0;
  for (const _ of text) length++;
  return length;
}
