import { anything, array, boolean, integer, map, mapList, object, type Schema, string } from '../schema.ts';
import { type Container, containerSchema } from './container.ts';
import { type Volume, volumesSchema } from './volume.ts';

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

export interface PodSpec {
  containers: Container[];
  initContainers?: Container[];
  volumes?: Volume[];
  restartPolicy?: 'Always' | 'OnFailure' | 'Never';
  terminationGracePeriodSeconds?: number;
  activeDeadlineSeconds?: number;
  serviceAccountName?: string;
  serviceAccount?: string;
  automountServiceAccountToken?: boolean;
  enableServiceLinks?: boolean;
  imagePullSecrets?: { name: string }[];
  nodeName?: string;
  nodeSelector?: Record<string, string>;
  hostNetwork?: boolean;
  hostPID?: boolean;
  hostIPC?: boolean;
  hostname?: string;
  subdomain?: string;
  shareProcessNamespace?: boolean;
  dnsPolicy?: string;
  schedulerName?: string;
  runtimeClassName?: string;
  priorityClassName?: string;
  priority?: number;
  preemptionPolicy?: string;
  readinessGates?: { conditionType: string }[];
  securityContext?: Record<string, unknown>;
  affinity?: Record<string, unknown>;
  tolerations?: Record<string, unknown>[];
  topologySpreadConstraints?: Record<string, unknown>[];
  dnsConfig?: Record<string, unknown>;
  hostAliases?: { ip: string; hostnames?: string[] }[];
}

/** The metadata of a pod to be made. */
export interface TemplateMeta {
  name?: string;
  generateName?: string;
  namespace?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  finalizers?: string[];
}

export interface PodTemplateSpec {
  metadata?: TemplateMeta;
  spec: PodSpec;
}

export const templateMetaSchema: Schema = object({
  name: string(),
  generateName: string(),
  namespace: string(),
  labels: map(),
  annotations: map(),
  finalizers: array(string(), { 'x-kubernetes-list-type': 'set' }),
  creationTimestamp: string({ format: 'date-time', nullable: true }),
});

const localReference = object({ name: string() });

/**
 * A pod's spec as in core/v1. It has no defaults, so that Knative's templates can use it and stay as their authors
 * wrote them: `setPodSpecDefaults` fills in Kubernetes' own.
 */
export const podSpecSchema: Schema = object(
  {
    containers: mapList(containerSchema, ['name']),
    initContainers: mapList(containerSchema, ['name']),
    ephemeralContainers: mapList(anything(), ['name']),
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
      nameservers: array(string(), { 'x-kubernetes-list-type': 'atomic' }),
      searches: array(string(), { 'x-kubernetes-list-type': 'atomic' }),
      options: array(object({ name: string(), value: string() }), { 'x-kubernetes-list-type': 'atomic' }),
    }),
    schedulerName: string(),
    schedulingGates: mapList(object({ name: string() }, { required: ['name'] }), ['name']),
    runtimeClassName: string(),
    priorityClassName: string(),
    priority: integer({ format: 'int32' }),
    preemptionPolicy: string(),
    overhead: anything(),
    os: object({ name: string() }),
    readinessGates: array(object({ conditionType: string() }, { required: ['conditionType'] }), {
      'x-kubernetes-list-type': 'atomic',
    }),
    securityContext: anything(),
    affinity: anything(),
    tolerations: array(anything(), { 'x-kubernetes-list-type': 'atomic' }),
    topologySpreadConstraints: array(anything(), {
      'x-kubernetes-patch-strategy': 'merge',
      'x-kubernetes-patch-merge-key': 'topologyKey',
    }),
    hostAliases: mapList(object({ ip: string(), hostnames: array(string()) }, { required: ['ip'] }), ['ip']),
    resourceClaims: mapList(anything(), ['name']),
  },
  { required: ['containers'] },
);

export const podTemplateSchema: Schema = object({ metadata: templateMetaSchema, spec: podSpecSchema });
