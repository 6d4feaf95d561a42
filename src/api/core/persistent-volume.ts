import { type FieldError, fieldNotSupported, fieldRequired } from '../field-error.ts';
import { defineKind } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { anything, atomicList, intOrString, map, object, string, type ValueOf } from '../schema.ts';
import { validateAccessModes, validateSize } from './persistent-volume-claim.ts';

export const reclaimPolicies = ['Retain', 'Delete', 'Recycle'] as const;

/** As long as a claim has the volume, it stays. */
export const volumeProtection = 'kubernetes.io/pv-protection';

const volumeSchema = object(
  {
    spec: object({
      capacity: map(intOrString()),
      accessModes: atomicList(string()),
      claimRef: object({
        apiVersion: string(),
        kind: string(),
        namespace: string(),
        name: string(),
        uid: string(),
        resourceVersion: string(),
        fieldPath: string(),
      }),
      persistentVolumeReclaimPolicy: string(),
      storageClassName: string(),
      mountOptions: atomicList(string()),
      volumeMode: string(),
      volumeAttributesClassName: string(),
      nodeAffinity: object({ required: anything() }),
      hostPath: object({ path: string(), type: string() }, { required: ['path'] }),
      local: object({ path: string(), fsType: string() }, { required: ['path'] }),
      nfs: anything(),
      csi: anything(),
      iscsi: anything(),
    }),
    status: object({
      phase: string(),
      message: string(),
      reason: string(),
      lastPhaseTransitionTime: string({ format: 'date-time', nullable: true }),
    }),
  },
  { required: ['spec'] },
);

export interface PersistentVolume extends KubeObject, ValueOf<typeof volumeSchema> {}

const sources = ['hostPath', 'local', 'nfs', 'csi', 'iscsi'] as const;

/** Where data are kept that outlive pods. */
export const PersistentVolumeKind = defineKind<PersistentVolume>({
  group: '',
  version: 'v1',
  kind: 'PersistentVolume',
  shortNames: ['pv'],
  isNamespaced: false,
  schema: volumeSchema,
  setDefaults({ spec }) {
    spec.volumeMode ??= 'Filesystem';
    spec.persistentVolumeReclaimPolicy ??= 'Retain';
    if (spec.hostPath) spec.hostPath.type ??= '';
  },
  validate({ spec }) {
    const errors: FieldError[] = validateAccessModes(spec.accessModes, 'spec.accessModes');
    const size = spec.capacity?.storage;
    if (size === undefined) errors.push(fieldRequired('spec.capacity'));
    else errors.push(...validateSize(size, 'spec.capacity[storage]'));
    if (!sources.some((source) => spec[source])) errors.push(fieldRequired('spec', 'must specify a volume type'));
    const policy = spec.persistentVolumeReclaimPolicy;
    if (policy && !(reclaimPolicies as readonly string[]).includes(policy)) {
      errors.push(fieldNotSupported('spec.persistentVolumeReclaimPolicy', policy, reclaimPolicies));
    }
    return errors;
  },
});
