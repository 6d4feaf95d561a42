import { atomicList, boolean, integer, intOrString, map, mapList, object, string, type ValueOf } from '../schema.ts';
import { securityContextSchema } from './security-context.ts';
import { volumeMountSchema } from './volume.ts';

export type { SecurityContext } from './security-context.ts';

const int32 = integer({ format: 'int32' });
const int64 = integer({ format: 'int64' });

export const protocols = ['TCP', 'UDP', 'SCTP'] as const;
export type Protocol = (typeof protocols)[number];

const containerPortSchema = object(
  {
    name: string(),
    containerPort: int32,
    protocol: string({ enum: protocols, default: 'TCP' }),
    hostPort: int32,
    hostIP: string(),
  },
  { required: ['containerPort'] },
);

export interface ContainerPort extends ValueOf<typeof containerPortSchema> {}

const httpGetSchema = object(
  {
    path: string(),
    port: intOrString({ description: 'A number from 1 to 65535, or the name of a port of the container.' }),
    host: string(),
    scheme: string({ enum: ['HTTP', 'HTTPS'] }),
    httpHeaders: atomicList(object({ name: string(), value: string() }, { required: ['name', 'value'] })),
  },
  // Knative fills the port of a probe in; Kubernetes' own requirement is checked by validatePodSpec.
  { present: ['port'] },
);

export interface HttpGetAction extends ValueOf<typeof httpGetSchema> {}

const execSchema = object({ command: atomicList(string()) });
const tcpSocketSchema = object({ port: intOrString(), host: string() }, { present: ['port'] });

const probeHandlerFields = {
  exec: execSchema,
  httpGet: httpGetSchema,
  tcpSocket: tcpSocketSchema,
  grpc: object({ port: int32, service: string({ nullable: true }) }, { present: ['port'] }),
};
const probeHandlerSchema = object(probeHandlerFields);

export interface ProbeHandler extends ValueOf<typeof probeHandlerSchema> {}

export const probeSchema = object({
  ...probeHandlerFields,
  initialDelaySeconds: int32,
  timeoutSeconds: int32,
  /** 0 in Knative: probe as often as the platform likes until it succeeds. */
  periodSeconds: int32,
  successThreshold: int32,
  failureThreshold: int32,
  terminationGracePeriodSeconds: int64,
});

export interface Probe extends ValueOf<typeof probeSchema> {}

const lifecycleHandlerSchema = object({
  exec: execSchema,
  httpGet: httpGetSchema,
  tcpSocket: tcpSocketSchema,
  sleep: object({ seconds: int64 }, { required: ['seconds'] }),
});

export interface LifecycleHandler extends ValueOf<typeof lifecycleHandlerSchema> {}

const keyReference = object(
  { name: string(), key: string(), optional: boolean() },
  { required: ['key'], present: ['name'] },
);
const fieldReference = object({ apiVersion: string(), fieldPath: string() }, { required: ['fieldPath'] });
const resourceReference = object(
  { containerName: string(), resource: string(), divisor: intOrString() },
  { required: ['resource'] },
);

const envVarSourceSchema = object({
  fieldRef: fieldReference,
  resourceFieldRef: resourceReference,
  configMapKeyRef: keyReference,
  secretKeyRef: keyReference,
});

export interface EnvVarSource extends ValueOf<typeof envVarSourceSchema> {}

export const envVarSchema = object(
  {
    name: string({ description: 'The name of the variable.' }),
    /** May refer to earlier variables as `$(NAME)`. */
    value: string({ description: 'Its value; $(NAME) refers to an earlier variable.' }),
    valueFrom: envVarSourceSchema,
  },
  { required: ['name'] },
);

export interface EnvVar extends ValueOf<typeof envVarSchema> {}

const optionalReference = object({ name: string(), optional: boolean() }, { present: ['name'] });
const envFromSourceSchema = object({
  prefix: string(),
  configMapRef: optionalReference,
  secretRef: optionalReference,
});

export interface EnvFromSource extends ValueOf<typeof envFromSourceSchema> {}

export const resourcesSchema = object({
  limits: map(intOrString(), { description: 'The most that the container may use, for example memory: 512Mi.' }),
  requests: map(intOrString(), { description: 'What the container is promised.' }),
  claims: mapList(object({ name: string(), request: string() }, { required: ['name'] }), ['name']),
});

export interface ResourceRequirements extends ValueOf<typeof resourcesSchema> {}

/** A container as in core/v1; no defaults but those that merging by key needs (core/pod-defaults.ts has the others). */
export const containerSchema = object(
  {
    name: string({ description: 'A DNS label, unique within the pod.' }),
    image: string({ description: 'The image to run, best with its digest.' }),
    imagePullPolicy: string({ enum: ['Always', 'IfNotPresent', 'Never'] }),
    command: atomicList(string(), { description: "Replaces the image's entrypoint." }),
    args: atomicList(string(), { description: "Replaces the image's command." }),
    workingDir: string(),
    ports: mapList(containerPortSchema, ['containerPort', 'protocol']),
    env: mapList(envVarSchema, ['name']),
    envFrom: atomicList(envFromSourceSchema),
    resources: resourcesSchema,
    resizePolicy: atomicList(
      object({ resourceName: string(), restartPolicy: string() }, { required: ['resourceName', 'restartPolicy'] }),
    ),
    volumeMounts: mapList(volumeMountSchema, ['mountPath']),
    volumeDevices: mapList(object({ name: string(), devicePath: string() }, { required: ['name', 'devicePath'] }), [
      'devicePath',
    ]),
    livenessProbe: probeSchema,
    readinessProbe: probeSchema,
    startupProbe: probeSchema,
    lifecycle: object({ postStart: lifecycleHandlerSchema, preStop: lifecycleHandlerSchema, stopSignal: string() }),
    securityContext: securityContextSchema,
    /** Only of an init container: `Always` makes it a sidecar. */
    restartPolicy: string(),
    terminationMessagePath: string(),
    terminationMessagePolicy: string({ enum: ['File', 'FallbackToLogsOnError'] }),
    stdin: boolean(),
    stdinOnce: boolean(),
    tty: boolean(),
  },
  // Knative allows containers without a name; Kubernetes' requirement is checked by validatePodSpec.
  { present: ['name'] },
);

export interface Container extends ValueOf<typeof containerSchema> {}
