import { isJsonObject } from '../../lib/json-object.ts';
import { type FieldError, fieldForbidden, fieldInvalid, fieldNotSupported, fieldRequired } from '../field-error.ts';

/** Deeper than this is no schema of anything. */
const depthMax = 64;

const types = ['object', 'array', 'string', 'integer', 'number', 'boolean'];
const counts = ['minLength', 'maxLength', 'minItems', 'maxItems', 'minProperties', 'maxProperties'];
const flags = [
  'nullable',
  'uniqueItems',
  'x-kubernetes-preserve-unknown-fields',
  'x-kubernetes-int-or-string',
  'x-kubernetes-embedded-resource',
];

/**
 * What keeps `schema` from being a structural schema, as CustomResourceDefinitions need one: every field has a type,
 * and keywords are of the right shape. It has come from a user, and may be anything.
 */
export function validateStructuralSchema(schema: unknown, path: string): FieldError[] {
  const errors: FieldError[] = [];
  check(schema, path, errors, { isStructural: true, depth: 0 });
  return errors;
}

/** `isStructural` is false within allOf, anyOf, oneOf and not, which only restrict what the fields outside declare. */
interface Place {
  isStructural: boolean;
  depth: number;
}

function check(schema: unknown, path: string, errors: FieldError[], place: Place): void {
  if (!isJsonObject(schema)) {
    errors.push(fieldInvalid(path, schema, 'must be a schema: an object'));
    return;
  }
  if (place.depth > depthMax) {
    errors.push(fieldForbidden(path, `is nested deeper than ${depthMax}`));
    return;
  }
  checkType(schema, path, errors, place);
  checkKeywords(schema, path, errors);
  checkListKeys(schema, path, errors);
  checkChildren(schema, path, errors, place);
}

function checkType(schema: Fields, path: string, errors: FieldError[], { isStructural }: Place): void {
  const { type } = schema;
  if (type !== undefined && !types.includes(String(type))) {
    errors.push(fieldNotSupported(`${path}.type`, type, types));
  }
  const isTyped = type !== undefined || schema['x-kubernetes-int-or-string'] || preserves(schema);
  if (isStructural && !isTyped) {
    errors.push(fieldRequired(`${path}.type`, 'must not be empty for specified object fields'));
  }
  if (isStructural && type === 'array' && schema.items === undefined) {
    errors.push(fieldRequired(`${path}.items`, 'must be specified'));
  }
}

function checkKeywords(schema: Fields, path: string, errors: FieldError[]): void {
  for (const key of counts) {
    const value = schema[key];
    if (value !== undefined && !(Number.isInteger(value) && Number(value) >= 0)) {
      errors.push(fieldInvalid(`${path}.${key}`, value, 'must be a whole number, 0 or more'));
    }
  }
  for (const key of ['minimum', 'maximum', 'multipleOf']) {
    if (schema[key] !== undefined && typeof schema[key] !== 'number') {
      errors.push(fieldInvalid(`${path}.${key}`, schema[key], 'must be a number'));
    }
  }
  for (const key of flags) {
    if (schema[key] !== undefined && typeof schema[key] !== 'boolean') {
      errors.push(fieldInvalid(`${path}.${key}`, schema[key], 'must be true or false'));
    }
  }
  for (const key of ['required', 'x-kubernetes-list-map-keys']) {
    const value = schema[key];
    if (value !== undefined && !(Array.isArray(value) && value.every((item) => typeof item === 'string'))) {
      errors.push(fieldInvalid(`${path}.${key}`, value, 'must be a list of names of fields'));
    }
  }
  for (const key of ['pattern', 'format', 'description', 'x-kubernetes-list-type', 'x-kubernetes-map-type']) {
    if (schema[key] !== undefined && typeof schema[key] !== 'string') {
      errors.push(fieldInvalid(`${path}.${key}`, schema[key], 'must be a string'));
    }
  }
  if (schema.enum !== undefined && !Array.isArray(schema.enum)) {
    errors.push(fieldInvalid(`${path}.enum`, schema.enum, 'must be a list'));
  }
}

/** A list keyed by some fields of its items needs these fields in all of them. */
function checkListKeys(schema: Fields, path: string, errors: FieldError[]): void {
  const keys = schema['x-kubernetes-list-map-keys'];
  if (schema['x-kubernetes-list-type'] !== 'map') {
    if (keys === undefined) return;
    const remedy = 'forbidden unless x-kubernetes-list-type is map';
    errors.push(fieldForbidden(`${path}.x-kubernetes-list-map-keys`, remedy));
    return;
  }
  if (!Array.isArray(keys) || keys.length === 0) {
    errors.push(
      fieldRequired(`${path}.x-kubernetes-list-map-keys`, 'must not be empty if x-kubernetes-list-type is map'),
    );
    return;
  }
  const { properties, required } = isJsonObject(schema.items) ? schema.items : {};
  for (const key of keys.map(String)) {
    const field = isJsonObject(properties) && Object.hasOwn(properties, key) ? properties[key] : undefined;
    if (!isJsonObject(field)) {
      const remedy = 'entries must all be names of item properties';
      errors.push(fieldInvalid(`${path}.x-kubernetes-list-map-keys`, key, remedy));
    } else if (field.default === undefined && !(Array.isArray(required) && required.includes(key))) {
      errors.push(
        fieldRequired(
          `${path}.items.properties[${key}].default`,
          'this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property',
        ),
      );
    }
  }
}

function checkChildren(schema: Fields, path: string, errors: FieldError[], { isStructural, depth }: Place): void {
  const inside: Place = { isStructural, depth: depth + 1 };
  const { properties, additionalProperties, items, not } = schema;
  if (properties !== undefined && !isJsonObject(properties)) {
    errors.push(fieldInvalid(`${path}.properties`, properties, 'must be a map from names to schemas'));
  } else if (properties !== undefined) {
    for (const [name, child] of Object.entries(properties)) {
      check(child, `${path}.properties[${name}]`, errors, inside);
    }
  }
  if (properties !== undefined && additionalProperties !== undefined) {
    errors.push(
      fieldForbidden(`${path}.additionalProperties`, 'additionalProperties and properties are mutual exclusive'),
    );
  }
  if (additionalProperties !== undefined && typeof additionalProperties !== 'boolean') {
    check(additionalProperties, `${path}.additionalProperties`, errors, inside);
  }
  if (items !== undefined) check(items, `${path}.items`, errors, inside);
  const restricting: Place = { isStructural: false, depth: depth + 1 };
  if (not !== undefined) check(not, `${path}.not`, errors, restricting);
  for (const key of ['allOf', 'anyOf', 'oneOf']) {
    const list = schema[key];
    if (list === undefined) continue;
    if (!Array.isArray(list)) errors.push(fieldInvalid(`${path}.${key}`, list, 'must be a list of schemas'));
    else for (const [i, part] of list.entries()) check(part, `${path}.${key}[${i}]`, errors, restricting);
  }
}

type Fields = Record<string, unknown>;

const preserves = (schema: Fields) => schema['x-kubernetes-preserve-unknown-fields'] === true;
