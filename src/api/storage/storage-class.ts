import { sameJson } from '../../lib/same-json.ts';
import { type FieldError, fieldForbidden, fieldNotSupported, fieldRequired } from '../field-error.ts';
import { defineKind } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { atomicList, boolean, map, object, string, type ValueOf } from '../schema.ts';

const bindingModes = ['Immediate', 'WaitForFirstConsumer'] as const;
const policies = ['Delete', 'Retain'] as const;
const defaultAnnotation = 'storageclass.kubernetes.io/is-default-class';

const storageClassSchema = object(
  {
    provisioner: string(),
    parameters: map(),
    reclaimPolicy: string(),
    mountOptions: atomicList(string()),
    allowVolumeExpansion: boolean(),
    volumeBindingMode: string(),
    allowedTopologies: atomicList(
      object({
        matchLabelExpressions: atomicList(
          object({ key: string(), values: atomicList(string()) }, { required: ['key', 'values'] }),
        ),
      }),
    ),
  },
  { required: ['provisioner'] },
);

/** A way to get volumes, which claims choose by `storageClassName`. */
export interface StorageClass extends KubeObject, ValueOf<typeof storageClassSchema> {}

export const StorageClassKind = defineKind<StorageClass>({
  group: 'storage.k8s.io',
  version: 'v1',
  kind: 'StorageClass',
  plural: 'storageclasses',
  shortNames: ['sc'],
  isNamespaced: false,
  hasStatus: false,
  schema: storageClassSchema,
  setDefaults(storageClass) {
    storageClass.reclaimPolicy ??= 'Delete';
    storageClass.volumeBindingMode ??= 'Immediate';
  },
  validate(now, { old }) {
    const errors: FieldError[] = now.provisioner ? [] : [fieldRequired('provisioner')];
    const { reclaimPolicy = 'Delete', volumeBindingMode = 'Immediate' } = now;
    if (!(policies as readonly string[]).includes(reclaimPolicy)) {
      errors.push(fieldNotSupported('reclaimPolicy', reclaimPolicy, policies));
    }
    if (!(bindingModes as readonly string[]).includes(volumeBindingMode)) {
      errors.push(fieldNotSupported('volumeBindingMode', volumeBindingMode, bindingModes));
    }
    for (const field of ['provisioner', 'parameters', 'reclaimPolicy', 'volumeBindingMode'] as const) {
      if (old && !sameJson(now[field] ?? {}, old[field] ?? {})) {
        errors.push(fieldForbidden(field, 'updates to this field are forbidden.'));
      }
    }
    return errors;
  },
});

/** The class of claims that name none: of several, the newest. */
export function defaultClassOf(classes: readonly StorageClass[]): StorageClass | undefined {
  const isDefault = ({ metadata }: StorageClass) => metadata.annotations?.[defaultAnnotation] === 'true';
  const createdAt = ({ metadata }: StorageClass) => metadata.creationTimestamp ?? '';
  return classes.filter(isDefault).sort((a, b) => (createdAt(a) < createdAt(b) ? 1 : -1))[0];
}

export const isDefaultClass = (storageClass: StorageClass): boolean => defaultClassOf([storageClass]) !== undefined;
