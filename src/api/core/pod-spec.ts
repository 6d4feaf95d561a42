import {
  array,
  atomicList,
  boolean,
  integer,
  intOrString,
  map,
  mapList,
  object,
  string,
  type ValueOf,
} from '../schema.ts';
import { containerSchema } from './container.ts';
import { affinitySchema, tolerationsSchema, topologySpreadConstraintsSchema } from './scheduling.ts';
import { podSecurityContextSchema } from './security-context.ts';
import { volumesSchema } from './volume.ts';

export type {
  Container,
  ContainerPort,
  EnvFromSource,
  EnvVar,
  EnvVarSource,
  Probe,
  ProbeHandler,
} from './container.ts';
export { containerSchema, envVarSchema, probeSchema, resourcesSchema } from './container.ts';
export type { Volume, VolumeMount } from './volume.ts';

/** The metadata of a pod to be made. */
const templateMetaSchema = object({
  name: string(),
  generateName: string(),
  namespace: string(),
  labels: map(),
  annotations: map(),
  finalizers: array(string(), { 'x-kubernetes-list-type': 'set' }),
  creationTimestamp: string({ format: 'date-time', nullable: true }),
});

const localReference = object({ name: string() }, { present: ['name'] });

/**
 * A pod's spec as in core/v1. It has no defaults, so that Knative's templates can use it and stay as their authors
 * wrote them: `setPodSpecDefaults` fills in Kubernetes' own.
 */
export const podSpecSchema = object(
  {
    containers: mapList(containerSchema, ['name']),
    initContainers: mapList(containerSchema, ['name']),
    ephemeralContainers: mapList(
      object({ ...containerSchema.properties, targetContainerName: string() }, { required: ['name'] }),
      ['name'],
    ),
    volumes: volumesSchema,
    restartPolicy: string({ enum: ['Always', 'OnFailure', 'Never'] }),
    terminationGracePeriodSeconds: integer({ format: 'int64', minimum: 0 }),
    activeDeadlineSeconds: integer({ format: 'int64', minimum: 1 }),
    serviceAccountName: string(),
    serviceAccount: string(),
    automountServiceAccountToken: boolean(),
    enableServiceLinks: boolean(),
    imagePullSecrets: mapList(localReference, ['name']),
    nodeName: string(),
    nodeSelector: map(),
    hostNetwork: boolean(),
    hostPID: boolean(),
    hostIPC: boolean(),
    hostUsers: boolean(),
    hostname: string(),
    subdomain: string(),
    setHostnameAsFQDN: boolean(),
    shareProcessNamespace: boolean(),
    dnsPolicy: string({ enum: ['ClusterFirst', 'ClusterFirstWithHostNet', 'Default', 'None'] }),
    dnsConfig: object({
      nameservers: atomicList(string()),
      searches: atomicList(string()),
      options: atomicList(object({ name: string(), value: string() })),
    }),
    schedulerName: string(),
    schedulingGates: mapList(object({ name: string() }, { required: ['name'] }), ['name']),
    runtimeClassName: string(),
    priorityClassName: string(),
    priority: integer({ format: 'int32' }),
    preemptionPolicy: string(),
    overhead: map(intOrString()),
    os: object({ name: string() }),
    readinessGates: atomicList(object({ conditionType: string() }, { required: ['conditionType'] })),
    securityContext: podSecurityContextSchema,
    affinity: affinitySchema,
    tolerations: tolerationsSchema,
    topologySpreadConstraints: topologySpreadConstraintsSchema,
    hostAliases: mapList(object({ ip: string(), hostnames: atomicList(string()) }, { required: ['ip'] }), ['ip']),
    resourceClaims: mapList(
      object(
        { name: string(), resourceClaimName: string(), resourceClaimTemplateName: string() },
        { required: ['name'] },
      ),
      ['name'],
    ),
  },
  { required: ['containers'] },
);

export interface PodSpec extends ValueOf<typeof podSpecSchema> {}

export const podTemplateSchema = object({ metadata: templateMetaSchema, spec: podSpecSchema }, { present: ['spec'] });

export interface PodTemplateSpec extends ValueOf<typeof podTemplateSchema> {}
