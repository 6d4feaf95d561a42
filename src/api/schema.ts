/**
 * An OpenAPI v3 structural schema (the subset that CustomResourceDefinitions allow). It drives validation, defaulting,
 * pruning, `kubectl explain` and the published CRDs. Without `x-kubernetes-preserve-unknown-fields`, a field that is
 * not named is unknown.
 */
export interface Schema {
  type?: 'object' | 'array' | 'string' | 'integer' | 'number' | 'boolean';
  description?: string;
  properties?: Record<string, Schema>;
  additionalProperties?: Schema | boolean;
  required?: string[];
  items?: Schema;
  enum?: unknown[];
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

/** An object with these fields; those in `required` must be there. */
export const object = (properties: Record<string, Schema>, extra: Partial<Schema> = {}): Schema => ({
  type: 'object',
  properties,
  ...extra,
});
export const string = (extra: Partial<Schema> = {}): Schema => ({ type: 'string', ...extra });
export const integer = (extra: Partial<Schema> = {}): Schema => ({ type: 'integer', ...extra });
export const number = (extra: Partial<Schema> = {}): Schema => ({ type: 'number', ...extra });
export const boolean = (extra: Partial<Schema> = {}): Schema => ({ type: 'boolean', ...extra });
export const array = (items: Schema, extra: Partial<Schema> = {}): Schema => ({ type: 'array', items, ...extra });
/** A map from any string to `values`. */
export const map = (values: Schema = string(), extra: Partial<Schema> = {}): Schema => ({
  type: 'object',
  additionalProperties: values,
  ...extra,
});
/** A list keyed by some of its items' fields: strategic merge and server-side apply merge it by them. */
export const mapList = (items: Schema, keys: string[]): Schema => ({
  type: 'array',
  items,
  'x-kubernetes-list-type': 'map',
  'x-kubernetes-list-map-keys': keys,
  'x-kubernetes-patch-strategy': 'merge',
  ...(keys[0] === undefined ? {} : { 'x-kubernetes-patch-merge-key': keys[0] }),
});
export const intOrString = (extra: Partial<Schema> = {}): Schema => ({ 'x-kubernetes-int-or-string': true, ...extra });
/** Any JSON object, kept as it is. */
export const anything = (extra: Partial<Schema> = {}): Schema => ({
  type: 'object',
  'x-kubernetes-preserve-unknown-fields': true,
  ...extra,
});

/** Knative's and Kubernetes' list of conditions. */
export const conditionsSchema: Schema = mapList(
  object(
    {
      type: string(),
      status: string({ enum: ['True', 'False', 'Unknown'] }),
      reason: string(),
      message: string(),
      severity: string(),
      lastTransitionTime: string(),
      lastUpdateTime: string(),
      lastProbeTime: string({ nullable: true }),
      observedGeneration: integer(),
    },
    { required: ['type', 'status'] },
  ),
  ['type'],
);
