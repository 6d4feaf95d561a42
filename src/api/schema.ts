declare const valueType: unique symbol;

/**
 * An OpenAPI v3 structural schema (the subset that CustomResourceDefinitions allow) of values of type `T`. It drives
 * validation, defaulting, pruning, `kubectl explain` and the published CRDs, and the types come from it: `ValueOf`.
 * Without `x-kubernetes-preserve-unknown-fields`, a field that is not named is unknown.
 */
export interface Schema<T = unknown> {
  /** Only for the type checker: no schema has it. */
  readonly [valueType]?: T;
  type?: 'object' | 'array' | 'string' | 'integer' | 'number' | 'boolean';
  description?: string;
  properties?: Record<string, Schema>;
  additionalProperties?: Schema | boolean;
  required?: string[];
  items?: Schema;
  enum?: readonly unknown[];
  default?: unknown;
  format?: string;
  pattern?: string;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  minProperties?: number;
  maxProperties?: number;
  nullable?: boolean;
  oneOf?: Schema[];
  anyOf?: Schema[];
  allOf?: Schema[];
  not?: Schema;
  'x-kubernetes-preserve-unknown-fields'?: boolean;
  'x-kubernetes-int-or-string'?: boolean;
  'x-kubernetes-embedded-resource'?: boolean;
  'x-kubernetes-list-type'?: 'atomic' | 'set' | 'map';
  'x-kubernetes-list-map-keys'?: string[];
  'x-kubernetes-patch-merge-key'?: string;
  'x-kubernetes-patch-strategy'?: string;
}

/** The type of the values that a schema describes. */
export type ValueOf<S> = S extends Schema<infer T> ? T : never;

type Extra = Omit<Schema, typeof valueType | 'type' | 'properties' | 'items' | 'required'>;
type Nullable<T, X> = X extends { nullable: true } ? T | null : T;
type OneOf<T, X> = X extends { enum: readonly (infer E)[] } ? E : T;

type Fields = Record<string, Schema>;
/** An object's type: the fields named in `R` are there, the others may be. */
type ObjectOf<F extends Fields, R> = {
  [K in keyof F as K extends R ? K : never]: ValueOf<F[K]>;
} & { [K in keyof F as K extends R ? never : K]?: ValueOf<F[K]> } extends infer O
  ? { [K in keyof O]: O[K] }
  : never;

interface ObjectExtra<F, R, P> extends Extra {
  required?: readonly (R & keyof F)[];
  /** Not required, but there whenever code sees the object: defaults or rules beyond the schema see to that. */
  present?: readonly (P & keyof F)[];
}

/** A schema of objects whose fields are known by name, so that another schema can take them over. */
export interface ObjectSchema<F extends Fields, T> extends Schema<T> {
  properties: F;
}

/** An object with these fields; those in `required` must be there. */
export function object<F extends Fields, const R extends string = never, const P extends string = never>(
  properties: F,
  { present: _, required, ...extra }: ObjectExtra<F, R, P> = {},
): ObjectSchema<F, ObjectOf<F, R | P>> {
  return { type: 'object', properties, ...(required && { required: [...required] }), ...extra };
}
/** One of `enum` where that is given. */
export const string = <const X extends Extra>(extra?: X): Schema<Nullable<OneOf<string, X>, X>> => ({
  type: 'string',
  ...extra,
});
export const integer = (extra: Extra = {}): Schema<number> => ({ type: 'integer', ...extra });
export const number = (extra: Extra = {}): Schema<number> => ({ type: 'number', ...extra });
export const boolean = (extra: Extra = {}): Schema<boolean> => ({ type: 'boolean', ...extra });
export const array = <T>(items: Schema<T>, extra: Extra = {}): Schema<T[]> => ({ type: 'array', items, ...extra });
/** A list that is merged as a whole. */
export const atomicList = <T>(items: Schema<T>, extra: Extra = {}): Schema<T[]> =>
  array(items, { 'x-kubernetes-list-type': 'atomic', ...extra });
/** A map from any string to `values`. */
export const map = <T = string>(values?: Schema<T>, extra: Extra = {}): Schema<Record<string, T>> => ({
  type: 'object',
  additionalProperties: values ?? string(),
  ...extra,
});
/** A list keyed by some of its items' fields: strategic merge and server-side apply merge it by them. */
export const mapList = <T>(items: Schema<T>, keys: (keyof T & string)[]): Schema<T[]> => ({
  type: 'array',
  items,
  'x-kubernetes-list-type': 'map',
  'x-kubernetes-list-map-keys': keys,
  'x-kubernetes-patch-strategy': 'merge',
  ...(keys[0] === undefined ? {} : { 'x-kubernetes-patch-merge-key': keys[0] }),
});
export const intOrString = (extra: Extra = {}): Schema<number | string> => ({
  'x-kubernetes-int-or-string': true,
  ...extra,
});
/** The same, or null. */
export const nullable = <T>(schema: Schema<T>): Schema<T | null> => ({ ...schema, nullable: true }) as Schema<T | null>;
/** Any JSON object, kept as it is. */
export const anything = (extra: Omit<Schema, typeof valueType> = {}): Schema<Record<string, unknown>> => ({
  type: 'object',
  'x-kubernetes-preserve-unknown-fields': true,
  ...extra,
});
