import { sameJson } from '../../lib/same-json.ts';
import { podTemplateSchema } from '../core/pod-spec.ts';
import { type FieldError, fieldInvalid } from '../field-error.ts';
import { defineKind } from '../kind.ts';
import { conditionsSchema, type KubeObject, type LabelSelector, labelSelectorSchema } from '../meta.ts';
import { integer, object, type ValueOf } from '../schema.ts';
import { setTemplateDefaults, validateSelector, validateTemplate } from './pod-template.ts';

const int32 = integer({ format: 'int32' });

const specSchema = object(
  { replicas: int32, minReadySeconds: int32, selector: labelSelectorSchema, template: podTemplateSchema },
  { required: ['selector'], present: ['template'] },
);

const statusSchema = object(
  {
    replicas: int32,
    fullyLabeledReplicas: int32,
    readyReplicas: int32,
    availableReplicas: int32,
    terminatingReplicas: int32,
    observedGeneration: integer({ format: 'int64' }),
    conditions: conditionsSchema,
  },
  { present: ['replicas'] },
);

export interface ReplicaSetStatus extends ValueOf<typeof statusSchema> {}

const replicaSetSchema = object({ spec: specSchema, status: statusSchema }, { required: ['spec'] });

export interface ReplicaSet extends KubeObject, ValueOf<typeof replicaSetSchema> {}

export const ReplicaSetKind = defineKind<ReplicaSet>({
  group: 'apps',
  version: 'v1',
  kind: 'ReplicaSet',
  shortNames: ['rs'],
  categories: ['all'],
  schema: replicaSetSchema,
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
  validate(replicaSet, { old }) {
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
  if (!old || sameJson(now, old)) return [];
  return [fieldInvalid('spec.selector', now, 'field is immutable')];
}
