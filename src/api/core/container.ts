import {
  anything,
  array,
  boolean,
  integer,
  intOrString,
  map,
  mapList,
  object,
  type Schema,
  string,
} from '../schema.ts';
import { type VolumeMount, volumeMountSchema } from './volume.ts';

export type Protocol = 'TCP' | 'UDP' | 'SCTP';

export interface ContainerPort {
  name?: string;
  containerPort: number;
  protocol?: Protocol;
  hostPort?: number;
  hostIP?: string;
}

export interface EnvVar {
  name: string;
  /** May refer to earlier variables as `$(NAME)`. */
  value?: string;
  valueFrom?: EnvVarSource;
}

export interface EnvVarSource {
  fieldRef?: { apiVersion?: string; fieldPath: string };
  resourceFieldRef?: { containerName?: string; resource: string; divisor?: string };
  configMapKeyRef?: { name: string; key: string; optional?: boolean };
  secretKeyRef?: { name: string; key: string; optional?: boolean };
}

export interface EnvFromSource {
  prefix?: string;
  configMapRef?: { name: string; optional?: boolean };
  secretRef?: { name: string; optional?: boolean };
}

export interface HttpGetAction {
  path?: string;
  port: number | string;
  host?: string;
  scheme?: 'HTTP' | 'HTTPS';
  httpHeaders?: { name: string; value: string }[];
}

export interface ProbeHandler {
  exec?: { command?: string[] };
  httpGet?: HttpGetAction;
  tcpSocket?: { port: number | string; host?: string };
  grpc?: { port: number; service?: string };
}

export interface Probe extends ProbeHandler {
  initialDelaySeconds?: number;
  timeoutSeconds?: number;
  /** 0 in Knative: probe as often as the platform likes until it succeeds. */
  periodSeconds?: number;
  successThreshold?: number;
  failureThreshold?: number;
  terminationGracePeriodSeconds?: number;
}

export interface LifecycleHandler {
  exec?: { command?: string[] };
  httpGet?: HttpGetAction;
  tcpSocket?: { port: number | string; host?: string };
  sleep?: { seconds: number };
}

export interface ResourceRequirements {
  limits?: Record<string, string | number>;
  requests?: Record<string, string | number>;
  claims?: { name: string; request?: string }[];
}

export interface SecurityContext {
  runAsUser?: number;
  runAsGroup?: number;
  runAsNonRoot?: boolean;
  privileged?: boolean;
  readOnlyRootFilesystem?: boolean;
  allowPrivilegeEscalation?: boolean;
  capabilities?: { add?: string[]; drop?: string[] };
  seccompProfile?: { type: string; localhostProfile?: string };
  procMount?: string;
  [other: string]: unknown;
}

export interface Container {
  name: string;
  image?: string;
  imagePullPolicy?: 'Always' | 'IfNotPresent' | 'Never';
  command?: string[];
  args?: string[];
  workingDir?: string;
  ports?: ContainerPort[];
  env?: EnvVar[];
  envFrom?: EnvFromSource[];
  resources?: ResourceRequirements;
  volumeMounts?: VolumeMount[];
  livenessProbe?: Probe;
  readinessProbe?: Probe;
  startupProbe?: Probe;
  lifecycle?: { postStart?: LifecycleHandler; preStop?: LifecycleHandler; stopSignal?: string };
  securityContext?: SecurityContext;
  /** Only of an init container: `Always` makes it a sidecar. */
  restartPolicy?: string;
  terminationMessagePath?: string;
  terminationMessagePolicy?: 'File' | 'FallbackToLogsOnError';
  stdin?: boolean;
  stdinOnce?: boolean;
  tty?: boolean;
}

const int32 = integer({ format: 'int32' });

export const securityContextSchema: Schema = object({
  runAsUser: integer({ format: 'int64' }),
  runAsGroup: integer({ format: 'int64' }),
  runAsNonRoot: boolean(),
  privileged: boolean(),
  readOnlyRootFilesystem: boolean(),
  allowPrivilegeEscalation: boolean(),
  capabilities: object({
    add: array(string(), { 'x-kubernetes-list-type': 'atomic' }),
    drop: array(string(), { 'x-kubernetes-list-type': 'atomic' }),
  }),
  seccompProfile: object({ type: string(), localhostProfile: string() }, { required: ['type'] }),
  appArmorProfile: object({ type: string(), localhostProfile: string() }, { required: ['type'] }),
  seLinuxOptions: anything(),
  windowsOptions: anything(),
  procMount: string(),
});

const httpGetSchema = object(
  {
    path: string(),
    port: intOrString({ description: 'A number from 1 to 65535, or the name of a port of the container.' }),
    host: string(),
    scheme: string({ enum: ['HTTP', 'HTTPS'] }),
    httpHeaders: array(object({ name: string(), value: string() }, { required: ['name', 'value'] })),
  },
  // Knative fills the port of a probe in; Kubernetes' own requirement is checked by validatePodSpec.
);
const execSchema = object({ command: array(string()) });
const tcpSocketSchema = object({ port: intOrString(), host: string() });

export const probeSchema: Schema = object({
  exec: execSchema,
  httpGet: httpGetSchema,
  tcpSocket: tcpSocketSchema,
  grpc: object({ port: int32, service: string({ nullable: true }) }),
  initialDelaySeconds: int32,
  timeoutSeconds: int32,
  periodSeconds: int32,
  successThreshold: int32,
  failureThreshold: int32,
  terminationGracePeriodSeconds: integer({ format: 'int64' }),
});

const lifecycleHandlerSchema = object({
  exec: execSchema,
  httpGet: httpGetSchema,
  tcpSocket: tcpSocketSchema,
  sleep: object({ seconds: integer({ format: 'int64' }) }, { required: ['seconds'] }),
});

const keyRef = object({ name: string(), key: string(), optional: boolean() }, { required: ['key'] });

export const envVarSchema: Schema = object(
  {
    name: string({ description: 'The name of the variable.' }),
    value: string({ description: 'Its value; $(NAME) refers to an earlier variable.' }),
    valueFrom: object({
      fieldRef: object({ apiVersion: string(), fieldPath: string() }, { required: ['fieldPath'] }),
      resourceFieldRef: object(
        { containerName: string(), resource: string(), divisor: intOrString() },
        { required: ['resource'] },
      ),
      configMapKeyRef: keyRef,
      secretKeyRef: keyRef,
    }),
  },
  { required: ['name'] },
);

export const resourcesSchema: Schema = object({
  limits: map(intOrString(), { description: 'The most that the container may use, for example memory: 512Mi.' }),
  requests: map(intOrString(), { description: 'What the container is promised.' }),
  claims: mapList(object({ name: string(), request: string() }, { required: ['name'] }), ['name']),
});

/** A container as in core/v1; no defaults but those that merging by key needs (core/pod-defaults.ts has the others). */
export const containerSchema: Schema = object(
  {
    name: string({ description: 'A DNS label, unique within the pod.' }),
    image: string({ description: 'The image to run, best with its digest.' }),
    imagePullPolicy: string({ enum: ['Always', 'IfNotPresent', 'Never'] }),
    command: array(string(), { 'x-kubernetes-list-type': 'atomic', description: "Replaces the image's entrypoint." }),
    args: array(string(), { 'x-kubernetes-list-type': 'atomic', description: "Replaces the image's command." }),
    workingDir: string(),
    ports: {
      ...mapList(
        object(
          {
            name: string(),
            containerPort: int32,
            protocol: string({ enum: ['TCP', 'UDP', 'SCTP'], default: 'TCP' }),
            hostPort: int32,
            hostIP: string(),
          },
          { required: ['containerPort'] },
        ),
        ['containerPort', 'protocol'],
      ),
    },
    env: mapList(envVarSchema, ['name']),
    envFrom: array(
      object({
        prefix: string(),
        configMapRef: object({ name: string(), optional: boolean() }),
        secretRef: object({ name: string(), optional: boolean() }),
      }),
      { 'x-kubernetes-list-type': 'atomic' },
    ),
    resources: resourcesSchema,
    resizePolicy: array(anything(), { 'x-kubernetes-list-type': 'atomic' }),
    volumeMounts: mapList(volumeMountSchema, ['mountPath']),
    volumeDevices: mapList(object({ name: string(), devicePath: string() }, { required: ['name', 'devicePath'] }), [
      'devicePath',
    ]),
    livenessProbe: probeSchema,
    readinessProbe: probeSchema,
    startupProbe: probeSchema,
    lifecycle: object({ postStart: lifecycleHandlerSchema, preStop: lifecycleHandlerSchema, stopSignal: string() }),
    securityContext: securityContextSchema,
    restartPolicy: string(),
    terminationMessagePath: string(),
    terminationMessagePolicy: string({ enum: ['File', 'FallbackToLogsOnError'] }),
    stdin: boolean(),
    stdinOnce: boolean(),
    tty: boolean(),
  },
  // Knative allows containers without a name; Kubernetes' requirement is checked by validatePodSpec.
);
