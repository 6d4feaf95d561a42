import { defineKind } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { boolean, mapList, object, string, type ValueOf } from '../schema.ts';
import { objectReferenceSchema } from './event.ts';

const serviceAccountSchema = object({
  secrets: mapList(objectReferenceSchema, ['name']),
  imagePullSecrets: mapList(object({ name: string() }, { present: ['name'] }), ['name']),
  automountServiceAccountToken: boolean(),
});

export interface ServiceAccount extends KubeObject, ValueOf<typeof serviceAccountSchema> {}

/** Where programs in a pod look for their token, the server's CA and their namespace. */
export const serviceAccountPath = '/var/run/secrets/kubernetes.io/serviceaccount';

export const ServiceAccountKind = defineKind<ServiceAccount>({
  group: '',
  version: 'v1',
  kind: 'ServiceAccount',
  shortNames: ['sa'],
  hasStatus: false,
  schema: serviceAccountSchema,
});
