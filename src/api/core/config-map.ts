import { sameJson } from '../../lib/same-json.ts';
import { type FieldError, fieldForbidden, fieldInvalid } from '../field-error.ts';
import { defineKind } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { isConfigKey } from '../names.ts';
import { boolean, map, object, string, type ValueOf } from '../schema.ts';

export const configKeyRule = "a valid key must consist of alphanumeric characters, '-', '_' or '.', at most 253";

const configMapSchema = object({ data: map(), binaryData: map(string({ format: 'byte' })), immutable: boolean() });

/** `binaryData` is base64. */
export interface ConfigMap extends KubeObject, ValueOf<typeof configMapSchema> {}

export const ConfigMapKind = defineKind<ConfigMap>({
  group: '',
  version: 'v1',
  kind: 'ConfigMap',
  shortNames: ['cm'],
  hasStatus: false,
  schema: configMapSchema,
  validate(configMap, { old }) {
    const errors: FieldError[] = [];
    for (const field of ['data', 'binaryData'] as const) {
      for (const key of Object.keys(configMap[field] ?? {})) {
        if (!isConfigKey(key)) errors.push(fieldInvalid(`${field}[${key}]`, key, configKeyRule));
      }
    }
    for (const key of Object.keys(configMap.binaryData ?? {})) {
      if (Object.hasOwn(configMap.data ?? {}, key)) {
        errors.push(fieldInvalid(`binaryData[${key}]`, key, 'duplicate of key present in data'));
      }
    }
    if (old?.immutable) errors.push(...immutableErrors(configMap, old, ['data', 'binaryData', 'immutable']));
    return errors;
  },
});

/** What changed although `immutable: true` forbids it. */
export function immutableErrors<T extends object>(now: T, old: T, fields: readonly (keyof T & string)[]): FieldError[] {
  return fields
    .filter((field) => !sameJson(now[field], old[field]))
    .map((field) => fieldForbidden(field, 'field is immutable when `immutable` is set'));
}
