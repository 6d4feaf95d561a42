import { defineKind } from '../kind.ts';
import type { Conditioned, KubeObject } from '../meta.ts';
import { conditionsSchema, integer, map, object, string } from '../schema.ts';

/** How a revision's deployment is scaled; the bounds are annotations, copied from the Revision. */
export interface PodAutoscaler extends KubeObject {
  spec: PodAutoscalerSpec;
  status?: PodAutoscalerStatus;
}

export interface PodAutoscalerSpec {
  containerConcurrency?: number;
  scaleTargetRef: { apiVersion?: string; kind?: string; name: string };
  /** Whether some Route sends to the revision; an unreachable one need not keep its minimum. */
  reachability?: '' | 'Reachable' | 'Unreachable';
  protocolType: 'http1' | 'h2c';
}

export interface PodAutoscalerStatus extends Conditioned {
  /** The core Service that requests reach the pods through. */
  serviceName: string;
  metricsServiceName: string;
  desiredScale?: number;
  actualScale?: number;
}

export const PodAutoscalerKind = defineKind<PodAutoscaler>({
  group: 'autoscaling.internal.knative.dev',
  version: 'v1alpha1',
  kind: 'PodAutoscaler',
  shortNames: ['kpa', 'pa'],
  categories: ['knative-internal', 'autoscaling'],
  schema: object({
    spec: object(
      {
        containerConcurrency: integer({ format: 'int64' }),
        scaleTargetRef: object({ apiVersion: string(), kind: string(), name: string() }),
        reachability: string({ enum: ['', 'Reachable', 'Unreachable'] }),
        protocolType: string(),
      },
      { required: ['protocolType', 'scaleTargetRef'] },
    ),
    status: object({
      conditions: conditionsSchema,
      observedGeneration: integer(),
      annotations: map(),
      serviceName: string(),
      metricsServiceName: string(),
      desiredScale: integer({ format: 'int32' }),
      actualScale: integer({ format: 'int32' }),
    }),
  }),
  columns: [
    { name: 'DesiredScale', type: 'integer', jsonPath: '.status.desiredScale' },
    { name: 'ActualScale', type: 'integer', jsonPath: '.status.actualScale' },
    { name: 'Ready', type: 'string', jsonPath: ".status.conditions[?(@.type=='Ready')].status" },
    { name: 'Reason', type: 'string', jsonPath: ".status.conditions[?(@.type=='Ready')].reason" },
  ],
});
