import { type FieldError, fieldInvalid, fieldRequired } from '../field-error.ts';
import { defineKind } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { isConfigKey } from '../names.ts';
import { boolean, map, object, string, type ValueOf } from '../schema.ts';
import { configKeyRule, immutableErrors } from './config-map.ts';

/** The keys that a Secret of a well-known type must have. */
const requiredKeys: Record<string, readonly string[]> = {
  'kubernetes.io/dockerconfigjson': ['.dockerconfigjson'],
  'kubernetes.io/dockercfg': ['.dockercfg'],
  'kubernetes.io/ssh-auth': ['ssh-privatekey'],
  'kubernetes.io/tls': ['tls.crt', 'tls.key'],
};

const secretSchema = object({
  /** `Opaque` unless given. */
  type: string(),
  /** Base64. */
  data: map(string({ format: 'byte' })),
  /** Write-only: the API server moves it into `data`. */
  stringData: map(string(), { description: 'Plain text, moved into data; never returned.' }),
  immutable: boolean(),
});

export interface Secret extends KubeObject, ValueOf<typeof secretSchema> {}

export const SecretKind = defineKind<Secret>({
  group: '',
  version: 'v1',
  kind: 'Secret',
  hasStatus: false,
  schema: secretSchema,
  columns: [{ name: 'Type', type: 'string', jsonPath: '.type' }],
  setDefaults(secret) {
    secret.type ??= 'Opaque';
    if (!secret.stringData) return;
    const encoded = Object.entries(secret.stringData).map(([key, text]) => [key, Buffer.from(text).toString('base64')]);
    secret.data = { ...secret.data, ...Object.fromEntries(encoded) }; // An assignment would lose the key __proto__.
    delete secret.stringData;
  },
  validate(secret, { old }) {
    const errors: FieldError[] = [];
    for (const [key, value] of Object.entries(secret.data ?? {})) {
      if (!isConfigKey(key)) errors.push(fieldInvalid(`data[${key}]`, key, configKeyRule));
      if (!isBase64(value))
        errors.push(fieldInvalid(`data[${key}]`, '<secret>', 'must be base64; stringData takes plain text'));
    }
    const { type = '' } = secret;
    for (const key of Object.hasOwn(requiredKeys, type) ? (requiredKeys[type] ?? []) : []) {
      if (secret.data?.[key] === undefined) errors.push(fieldRequired(`data[${key}]`));
    }
    if (old && old.type !== secret.type) errors.push(fieldInvalid('type', secret.type, 'field is immutable'));
    if (old?.immutable) errors.push(...immutableErrors(secret, old, ['data', 'immutable']));
    return errors;
  },
});

const isBase64 = (text: string) => text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text);
