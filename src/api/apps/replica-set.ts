import { isDeepStrictEqual } from 'node:util';
import { type PodTemplateSpec, podTemplateSchema } from '../core/pod-spec.ts';
import { type FieldError, fieldInvalid } from '../field-error.ts';
import { defineKind } from '../kind.ts';
import type { Condition, KubeObject, LabelSelector } from '../meta.ts';
import { conditionsSchema, integer, object } from '../schema.ts';
import { labelSelectorSchema, setTemplateDefaults, validateSelector, validateTemplate } from './pod-template.ts';

export interface ReplicaSetStatus {
  replicas: number;
  fullyLabeledReplicas?: number;
  readyReplicas?: number;
  availableReplicas?: number;
  terminatingReplicas?: number;
  observedGeneration?: number;
  conditions?: Condition[];
}

export interface ReplicaSet extends KubeObject {
  spec: { replicas?: number; minReadySeconds?: number; selector: LabelSelector; template: PodTemplateSpec };
  status?: ReplicaSetStatus;
}

const int32 = integer({ format: 'int32' });

export const ReplicaSetKind = defineKind<ReplicaSet>({
  group: 'apps',
  version: 'v1',
  kind: 'ReplicaSet',
  shortNames: ['rs'],
  categories: ['all'],
  schema: object(
    {
      spec: object(
        {
          replicas: int32,
          minReadySeconds: int32,
          selector: labelSelectorSchema,
          template: podTemplateSchema,
        },
        { required: ['selector'] },
      ),
      status: object({
        replicas: int32,
        fullyLabeledReplicas: int32,
        readyReplicas: int32,
        availableReplicas: int32,
        terminatingReplicas: int32,
        observedGeneration: integer({ format: 'int64' }),
        conditions: conditionsSchema,
      }),
    },
    { required: ['spec'] },
  ),
  scale: {
    specReplicasPath: '.spec.replicas',
    statusReplicasPath: '.status.replicas',
    labelSelectorPath: '.spec.selector',
  },
  columns: [
    { name: 'Desired', type: 'integer', jsonPath: '.spec.replicas' },
    { name: 'Current', type: 'integer', jsonPath: '.status.replicas' },
    { name: 'Ready', type: 'integer', jsonPath: '.status.readyReplicas' },
  ],
  setDefaults(replicaSet) {
    const { spec } = replicaSet;
    spec.replicas ??= 1;
    setTemplateDefaults(spec.template);
  },
  validate(replicaSet, old) {
    const { spec } = replicaSet;
    return [
      ...validateReplicas(spec.replicas, 'spec.replicas'),
      ...validateReplicas(spec.minReadySeconds, 'spec.minReadySeconds'),
      ...validateSelector(spec.selector, 'spec.selector'),
      ...immutableSelector(spec.selector, old?.spec.selector),
      ...validateTemplate(spec.template, spec.selector, 'spec.template'),
    ];
  },
});

/** A count that is not negative. */
export function validateReplicas(count: number | undefined, at: string): FieldError[] {
  if (count === undefined || count >= 0) return [];
  return [fieldInvalid(at, count, 'must be greater than or equal to 0')];
}

/** The selector of an apps/v1 object stays as it was made. */
export function immutableSelector(now: LabelSelector, old: LabelSelector | undefined): FieldError[] {
  if (!old || isDeepStrictEqual(now, old)) return [];
  return [fieldInvalid('spec.selector', now, 'field is immutable')];
}
