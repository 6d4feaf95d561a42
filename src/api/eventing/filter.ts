import { type FieldError, fieldForbidden, fieldInvalid, fieldRequired } from '../field-error.ts';
import { array, map, object, type Schema, string, type ValueOf } from '../schema.ts';

const dialects = ['exact', 'prefix', 'suffix', 'all', 'any', 'not', 'cesql'] as const;
const depthMax = 32;

/** A filter inside a filter. */
const nested: Schema<Filter> = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };

/** Structural schemas cannot refer to themselves: what is inside all, any and not is checked by `validateFilter`. */
export const filterSchema = object({
  exact: map(string(), { description: 'Attributes that must equal these values.' }),
  prefix: map(string(), { description: 'Attributes that must start with these values.' }),
  suffix: map(string(), { description: 'Attributes that must end with these values.' }),
  all: array(nested, { description: 'Every one of these filters must match.' }),
  any: array(nested, { description: 'At least one of these filters must match.' }),
  not: { ...nested, description: 'This filter must not match.' },
  cesql: string({ description: 'A CloudEvents SQL expression that must be true.' }),
});

/**
 * One element of `spec.filters`: exactly one dialect (CloudEvents Subscriptions API, "Filter Dialects"). `exact`,
 * `prefix` and `suffix` need every named attribute to match, case-sensitively.
 */
export interface Filter extends ValueOf<typeof filterSchema> {}

/** Knative's rule for attribute names in filters; narrower than CloudEvents' by the leading letter. */
export const isAttributeName = (name: string): boolean => /^[a-z][a-z0-9]*$/.test(name);

/** What is wrong with the attributes, of CloudEvents, that a filter at `field` asks for. */
export function validateAttributes(field: string, attributes: Record<string, unknown>): FieldError[] {
  return Object.keys(attributes)
    .filter((name) => !isAttributeName(name))
    .map((name) =>
      fieldInvalid(field, name, 'attribute names start with a lower-case letter and hold only a-z and 0-9'),
    );
}

/** What is wrong with a filter at `field`, and with those in it. */
export function validateFilter(field: string, filter: unknown, depth = 0): FieldError[] {
  if (typeof filter !== 'object' || filter === null || Array.isArray(filter)) {
    return [fieldInvalid(field, filter, `must be an object with one of ${dialects.join(', ')}`)];
  }
  if (depth > depthMax) return [fieldForbidden(field, `filters nest at most ${depthMax} deep`)];
  const given = Object.keys(filter);
  const unknown = given.filter((name) => !dialects.some((dialect) => dialect === name));
  if (unknown.length > 0) {
    return unknown.map((name) =>
      fieldForbidden(`${field}.${name}`, `no such filter: use one of ${dialects.join(', ')}`),
    );
  }
  if (given.length !== 1) {
    const remedy = given.length === 0 ? `give one of ${dialects.join(', ')}` : 'split it into one element per dialect';
    const what = given.length === 0 ? 'is empty' : `holds ${given.length} dialects (${given.join(', ')})`;
    return [fieldInvalid(field, filter, `${what}, must hold exactly one: ${remedy}`)];
  }
  return validateDialect(field, filter as Filter, depth);
}

function validateDialect(field: string, filter: Filter, depth: number): FieldError[] {
  for (const dialect of ['exact', 'prefix', 'suffix'] as const) {
    if (filter[dialect] !== undefined) return validateMatches(`${field}.${dialect}`, filter[dialect]);
  }
  for (const dialect of ['all', 'any'] as const) {
    if (filter[dialect] !== undefined) return validateNested(`${field}.${dialect}`, filter[dialect], depth);
  }
  if (filter.not !== undefined) return validateFilter(`${field}.not`, filter.not, depth + 1);
  if (typeof filter.cesql !== 'string' || filter.cesql.trim() === '') {
    return [fieldInvalid(`${field}.cesql`, filter.cesql, 'must be a CloudEvents SQL expression')];
  }
  return [];
}

function validateMatches(field: string, matches: unknown): FieldError[] {
  if (typeof matches !== 'object' || matches === null || Array.isArray(matches)) {
    return [fieldInvalid(field, matches, 'must be a map of attribute names to values')];
  }
  if (Object.keys(matches).length === 0) return [fieldRequired(field, 'name at least one attribute')];
  const errors = validateAttributes(field, matches as Record<string, unknown>);
  for (const [name, value] of Object.entries(matches)) {
    if (typeof value !== 'string' || value === '') {
      errors.push(fieldInvalid(`${field}.${name}`, value, 'must be a string that is not empty'));
    }
  }
  return errors;
}

function validateNested(field: string, filters: unknown, depth: number): FieldError[] {
  if (!Array.isArray(filters) || filters.length === 0) return [fieldRequired(field, 'give at least one filter')];
  return filters.flatMap((filter, i) => validateFilter(`${field}[${i}]`, filter, depth + 1));
}
