import { sameJson } from '../../lib/same-json.ts';
import { type FieldError, fieldForbidden, fieldInvalid, fieldNotSupported, fieldRequired } from '../field-error.ts';
import { defineKind } from '../kind.ts';
import { conditionsSchema, type KubeObject } from '../meta.ts';
import { atomicList, intOrString, map, object, string, type ValueOf } from '../schema.ts';
import { parseQuantity, quantityRule } from './quantity.ts';
import { claimSpecSchema } from './volume.ts';

export const accessModes = ['ReadWriteOnce', 'ReadOnlyMany', 'ReadWriteMany', 'ReadWriteOncePod'] as const;
export const volumeModes = ['Filesystem', 'Block'] as const;

/** As long as a pod uses the claim, it stays. */
export const claimProtection = 'kubernetes.io/pvc-protection';

const claimSchema = object(
  {
    spec: claimSpecSchema,
    status: object({
      phase: string(),
      accessModes: atomicList(string()),
      capacity: map(intOrString()),
      conditions: conditionsSchema,
      allocatedResources: map(intOrString()),
      allocatedResourceStatuses: map(),
      currentVolumeAttributesClassName: string(),
      modifyVolumeStatus: object({ targetVolumeAttributesClassName: string(), status: string() }),
    }),
  },
  { required: ['spec'] },
);

export interface PersistentVolumeClaim extends KubeObject, ValueOf<typeof claimSchema> {}

/** What a pod asks for to keep its data. */
export const PersistentVolumeClaimKind = defineKind<PersistentVolumeClaim>({
  group: '',
  version: 'v1',
  kind: 'PersistentVolumeClaim',
  shortNames: ['pvc'],
  schema: claimSchema,
  setDefaults({ spec }) {
    spec.volumeMode ??= 'Filesystem';
  },
  validate({ spec }, { old }) {
    return old ? validateUpdate(spec, old.spec) : validateSpec(spec);
  },
});

function validateSpec(spec: PersistentVolumeClaim['spec']): FieldError[] {
  const size = spec.resources?.requests?.storage;
  const errors = validateAccessModes(spec.accessModes, 'spec.accessModes');
  if (size === undefined) errors.push(fieldRequired('spec.resources[storage]'));
  else errors.push(...validateSize(size, 'spec.resources.requests[storage]'));
  if (spec.volumeMode && !(volumeModes as readonly string[]).includes(spec.volumeMode)) {
    errors.push(fieldNotSupported('spec.volumeMode', spec.volumeMode, volumeModes));
  }
  return errors;
}

/** What is asked for stays but for its size; the volume is found once, and so is a class that it was to have. */
function validateUpdate(spec: PersistentVolumeClaim['spec'], old: PersistentVolumeClaim['spec']): FieldError[] {
  const fixed = (each: PersistentVolumeClaim['spec']) => ({
    ...each,
    volumeName: old.volumeName ? each.volumeName : undefined,
    storageClassName: old.storageClassName === undefined ? undefined : each.storageClassName,
    resources: undefined,
    volumeAttributesClassName: undefined,
  });
  const errors = validateSpec(spec);
  if (!sameJson(fixed(spec), fixed(old))) {
    errors.push(
      fieldForbidden(
        'spec',
        'spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims',
      ),
    );
  }
  const [size = 0, before = 0] = [spec, old].map((each) => parseQuantity(each.resources?.requests?.storage ?? 0));
  if (size < before) {
    errors.push(fieldForbidden('spec.resources.requests.storage', 'field can not be less than status.capacity'));
  }
  return errors;
}

export function validateAccessModes(modes: readonly string[] | undefined, at: string): FieldError[] {
  if (!modes?.length) return [fieldRequired(at, 'at least 1 access mode is required')];
  const odd = modes.filter((mode) => !(accessModes as readonly string[]).includes(mode));
  return odd.map((mode) => fieldNotSupported(at, mode, accessModes));
}

export function validateSize(size: string | number, at: string): FieldError[] {
  const value = parseQuantity(size);
  if (value === undefined) return [fieldInvalid(at, size, quantityRule)];
  return value > 0 ? [] : [fieldInvalid(at, size, 'must be greater than zero')];
}
