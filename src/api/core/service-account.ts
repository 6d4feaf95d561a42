import { defineKind } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { anything, boolean, mapList, object, string } from '../schema.ts';

export interface ServiceAccount extends KubeObject {
  secrets?: { name: string }[];
  imagePullSecrets?: { name: string }[];
  automountServiceAccountToken?: boolean;
}

export const ServiceAccountKind = defineKind<ServiceAccount>({
  group: '',
  version: 'v1',
  kind: 'ServiceAccount',
  shortNames: ['sa'],
  hasStatus: false,
  schema: object({
    secrets: mapList(anything({ properties: { name: string() } }), ['name']),
    imagePullSecrets: mapList(object({ name: string() }), ['name']),
    automountServiceAccountToken: boolean(),
  }),
});
