import { createHash } from 'node:crypto';
import { defineKind } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { generatedAlphabet } from '../names.ts';
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

const tokenVolumePrefix = 'kube-api-access-';
export const isTokenVolume = (name: string): boolean => name.startsWith(tokenVolumePrefix);

/** As Kubernetes names the volume with a pod's token; here the five letters are made of the pod's UID. */
export function tokenVolumeName(podUid: string): string {
  const hash = createHash('sha256').update(podUid).digest();
  const letters = [...hash.subarray(0, 5)].map((byte) => generatedAlphabet[byte % generatedAlphabet.length]);
  return tokenVolumePrefix + letters.join('');
}

export const ServiceAccountKind = defineKind<ServiceAccount>({
  group: '',
  version: 'v1',
  kind: 'ServiceAccount',
  shortNames: ['sa'],
  hasStatus: false,
  schema: serviceAccountSchema,
});
