import { podTemplateSchema } from '../core/pod-spec.ts';
import { type FieldError, fieldForbidden, fieldInvalid } from '../field-error.ts';
import { defineKind } from '../kind.ts';
import { conditionsSchema, type KubeObject, labelSelectorSchema } from '../meta.ts';
import { boolean, integer, intOrString, object, string, type ValueOf } from '../schema.ts';
import { setTemplateDefaults, validateSelector, validateTemplate } from './pod-template.ts';
import { immutableSelector, validateReplicas } from './replica-set.ts';

const int32 = integer({ format: 'int32' });

const strategySchema = object(
  {
    type: string({ enum: ['RollingUpdate', 'Recreate'] }),
    /** Numbers of pods, or percentages of `replicas` such as `25%` (surge is rounded up, unavailable down). */
    rollingUpdate: object({ maxSurge: intOrString(), maxUnavailable: intOrString() }),
  },
  { 'x-kubernetes-patch-strategy': 'retainKeys' },
);

export interface DeploymentStrategy extends ValueOf<typeof strategySchema> {}

const specSchema = object(
  {
    replicas: int32,
    selector: labelSelectorSchema,
    template: podTemplateSchema,
    strategy: strategySchema,
    minReadySeconds: int32,
    revisionHistoryLimit: int32,
    paused: boolean(),
    progressDeadlineSeconds: int32,
  },
  { required: ['selector', 'template'] },
);

export interface DeploymentSpec extends ValueOf<typeof specSchema> {}

const statusSchema = object({
  observedGeneration: integer({ format: 'int64' }),
  replicas: int32,
  updatedReplicas: int32,
  readyReplicas: int32,
  availableReplicas: int32,
  unavailableReplicas: int32,
  terminatingReplicas: int32,
  collisionCount: int32,
  conditions: conditionsSchema,
});

export interface DeploymentStatus extends ValueOf<typeof statusSchema> {}

const deploymentSchema = object({ spec: specSchema, status: statusSchema }, { required: ['spec'] });

export interface Deployment extends KubeObject, ValueOf<typeof deploymentSchema> {}

export const DeploymentKind = defineKind<Deployment>({
  group: 'apps',
  version: 'v1',
  kind: 'Deployment',
  shortNames: ['deploy'],
  categories: ['all'],
  schema: deploymentSchema,
  scale: {
    specReplicasPath: '.spec.replicas',
    statusReplicasPath: '.status.replicas',
    labelSelectorPath: '.spec.selector',
  },
  columns: [
    { name: 'Ready', type: 'string', jsonPath: '.status.readyReplicas' },
    { name: 'Up-to-date', type: 'integer', jsonPath: '.status.updatedReplicas' },
    { name: 'Available', type: 'integer', jsonPath: '.status.availableReplicas' },
  ],
  setDefaults(deployment) {
    const { spec } = deployment;
    spec.replicas ??= 1;
    spec.revisionHistoryLimit ??= 10;
    spec.progressDeadlineSeconds ??= 600;
    spec.strategy ??= {};
    spec.strategy.type ??= 'RollingUpdate';
    if (spec.strategy.type === 'RollingUpdate') {
      spec.strategy.rollingUpdate = { maxSurge: '25%', maxUnavailable: '25%', ...spec.strategy.rollingUpdate };
    }
    setTemplateDefaults(spec.template);
  },
  validate(deployment, { old }) {
    const { spec } = deployment;
    const errors = [
      ...validateReplicas(spec.replicas, 'spec.replicas'),
      ...validateReplicas(spec.minReadySeconds, 'spec.minReadySeconds'),
      ...validateReplicas(spec.revisionHistoryLimit, 'spec.revisionHistoryLimit'),
      ...validateSelector(spec.selector, 'spec.selector'),
      ...immutableSelector(spec.selector, old?.spec.selector),
      ...validateTemplate(spec.template, spec.selector, 'spec.template'),
      ...validateStrategy(spec.strategy ?? {}),
    ];
    if ((spec.progressDeadlineSeconds ?? 600) <= (spec.minReadySeconds ?? 0)) {
      const remedy = 'must be greater than minReadySeconds';
      errors.push(fieldInvalid('spec.progressDeadlineSeconds', spec.progressDeadlineSeconds, remedy));
    }
    return errors;
  },
});

function validateStrategy(strategy: DeploymentStrategy): FieldError[] {
  const at = 'spec.strategy.rollingUpdate';
  const { type, rollingUpdate } = strategy;
  if (type === 'Recreate') {
    return rollingUpdate ? [fieldForbidden(at, "may not be specified when strategy `type` is 'Recreate'")] : [];
  }
  const errors: FieldError[] = [];
  for (const field of ['maxSurge', 'maxUnavailable'] as const) {
    const value = rollingUpdate?.[field];
    if (value !== undefined && scaledValue(value, 100, Math.ceil) === undefined) {
      errors.push(
        fieldInvalid(`${at}.${field}`, value, "must be a non-negative number, or a percentage such as '25%'"),
      );
    }
  }
  if (isZero(rollingUpdate?.maxSurge) && isZero(rollingUpdate?.maxUnavailable)) {
    errors.push(
      fieldInvalid(`${at}.maxUnavailable`, rollingUpdate?.maxUnavailable, 'may not be 0 when `maxSurge` is 0'),
    );
  }
  return errors;
}

const isZero = (value: number | string | undefined) => value === 0 || value === '0%' || value === '0';

/** A number of pods: `value` itself, or that percentage of `total`, rounded. Undefined when it is neither. */
export function scaledValue(value: number | string, total: number, round: (n: number) => number): number | undefined {
  if (typeof value === 'number') return Number.isInteger(value) && value >= 0 ? value : undefined;
  const percent = /^(\d+)%$/.exec(value)?.[1];
  return percent === undefined ? undefined : round((Number(percent) * total) / 100);
}
