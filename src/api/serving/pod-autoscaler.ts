import { conditionColumns, defineKind } from '../kind.ts';
import { type Key, type KubeObject, siblingKey, statusFields } from '../meta.ts';
import { integer, object, string, type ValueOf } from '../schema.ts';

const specSchema = object(
  {
    containerConcurrency: integer({ format: 'int64' }),
    scaleTargetRef: object({ apiVersion: string(), kind: string(), name: string() }, { present: ['name'] }),
    /** Whether some Route sends to the revision; an unreachable one need not keep its minimum. */
    reachability: string({ enum: ['', 'Reachable', 'Unreachable'] }),
    protocolType: string({ enum: ['http1', 'h2c'] }),
  },
  { required: ['protocolType', 'scaleTargetRef'] },
);

const statusSchema = object(
  {
    ...statusFields,
    /** The core Service that requests reach the pods through. */
    serviceName: string(),
    metricsServiceName: string(),
    desiredScale: integer({ format: 'int32' }),
    actualScale: integer({ format: 'int32' }),
  },
  { present: ['serviceName', 'metricsServiceName'] },
);

const podAutoscalerSchema = object({ spec: specSchema, status: statusSchema }, { present: ['spec'] });

/** How a revision's deployment is scaled; the bounds are annotations, copied from the Revision. */
export interface PodAutoscaler extends KubeObject, ValueOf<typeof podAutoscalerSchema> {}

export const PodAutoscalerKind = defineKind<PodAutoscaler>({
  group: 'autoscaling.internal.knative.dev',
  version: 'v1alpha1',
  kind: 'PodAutoscaler',
  shortNames: ['kpa', 'pa'],
  categories: ['knative-internal', 'autoscaling'],
  schema: podAutoscalerSchema,
  columns: [
    { name: 'DesiredScale', type: 'integer', jsonPath: '.status.desiredScale' },
    { name: 'ActualScale', type: 'integer', jsonPath: '.status.actualScale' },
    ...conditionColumns('Ready'),
  ],
});

/** The Deployment that a PodAutoscaler scales. */
export const targetKey = (autoscaler: PodAutoscaler): Key =>
  siblingKey(autoscaler, autoscaler.spec.scaleTargetRef.name);
