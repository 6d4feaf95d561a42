import { sameJson } from '../../lib/same-json.ts';
import { type FieldError, fieldForbidden } from '../field-error.ts';
import { defineKind } from '../kind.ts';
import { conditionsSchema, type KubeObject } from '../meta.ts';
import { atomicList, boolean, integer, intOrString, map, mapList, object, string, type ValueOf } from '../schema.ts';
import { resourcesSchema } from './container.ts';
import { validateEphemeralContainersUpdate } from './ephemeral-containers.ts';
import { setHostPorts, setPodSpecDefaults } from './pod-defaults.ts';
import { type PodSpec, podSpecSchema } from './pod-spec.ts';
import { validatePodSpec } from './pod-validation.ts';
import { parseQuantity } from './quantity.ts';

const int32 = integer({ format: 'int32' });
const time = string({ format: 'date-time', nullable: true });

const stateSchema = object({
  waiting: object({ reason: string(), message: string() }),
  running: object({ startedAt: time }),
  terminated: object(
    {
      exitCode: int32,
      signal: int32,
      reason: string(),
      message: string(),
      startedAt: time,
      finishedAt: time,
      containerID: string(),
    },
    { present: ['exitCode'] },
  ),
});

export interface ContainerState extends ValueOf<typeof stateSchema> {}

const containerStatusSchema = object(
  {
    name: string(),
    image: string(),
    imageID: string(),
    containerID: string(),
    ready: boolean(),
    started: boolean(),
    restartCount: int32,
    state: stateSchema,
    lastState: stateSchema,
    resources: resourcesSchema,
    allocatedResources: map(intOrString()),
    volumeMounts: mapList(
      object(
        { name: string(), mountPath: string(), readOnly: boolean(), recursiveReadOnly: string() },
        { required: ['name', 'mountPath'] },
      ),
      ['mountPath'],
    ),
  },
  { required: ['name'], present: ['image', 'imageID', 'ready', 'restartCount'] },
);

export interface ContainerStatus extends ValueOf<typeof containerStatusSchema> {}

const containerStatusesSchema = atomicList(containerStatusSchema);
const ipsSchema = mapList(object({ ip: string() }, { required: ['ip'] }), ['ip']);

const podStatusSchema = object({
  phase: string({ enum: ['Pending', 'Running', 'Succeeded', 'Failed', 'Unknown'] }),
  conditions: conditionsSchema,
  reason: string(),
  message: string(),
  hostIP: string(),
  hostIPs: ipsSchema,
  podIP: string(),
  podIPs: ipsSchema,
  startTime: time,
  qosClass: string({ enum: ['Guaranteed', 'Burstable', 'BestEffort'] }),
  containerStatuses: containerStatusesSchema,
  initContainerStatuses: containerStatusesSchema,
  ephemeralContainerStatuses: containerStatusesSchema,
  nominatedNodeName: string(),
  observedGeneration: integer({ format: 'int64' }),
  resize: string(),
});

export interface PodStatus extends ValueOf<typeof podStatusSchema> {}
export type PodPhase = NonNullable<PodStatus['phase']>;

const podSchema = object({ spec: podSpecSchema, status: podStatusSchema }, { required: ['spec'] });

export interface Pod extends KubeObject, ValueOf<typeof podSchema> {}

/** JSON map from a container's port to the host's, where pods share the host's network: `{"8080":41235}`. */
export const portsAnnotation = 'node.kittiwake.dev/ports';

/** Whether the pod takes traffic: its Ready condition is True. */
export const isPodReady = (pod: Pod): boolean =>
  pod.status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True') ?? false;

/** Whether the pod has ended for good. */
export const isPodTerminal = (pod: Pod): boolean => pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';

export const PodKind = defineKind<Pod>({
  group: '',
  version: 'v1',
  kind: 'Pod',
  shortNames: ['po'],
  categories: ['all'],
  schema: podSchema,
  columns: [
    { name: 'Status', type: 'string', jsonPath: '.status.phase' },
    { name: 'IP', type: 'string', jsonPath: '.status.podIP', priority: 1 },
    { name: 'Node', type: 'string', jsonPath: '.spec.nodeName', priority: 1 },
  ],
  setDefaults(pod) {
    setPodSpecDefaults(pod.spec);
    setHostPorts(pod.spec);
    pod.spec.enableServiceLinks ??= true;
  },
  validate(pod, { old }) {
    if (old) return validateUpdate(pod, old);
    const errors = validatePodSpec(pod.spec, 'spec');
    if (pod.spec.ephemeralContainers?.length) {
      errors.push(fieldForbidden('spec.ephemeralContainers', 'cannot be set on create'));
    }
    return errors;
  },
});

/** A pod's spec is fixed but for images, deadlines, added tolerations and ephemeral containers, and the node, once. */
function validateUpdate(pod: Pod, old: Pod): FieldError[] {
  const fixed = (spec: PodSpec, was: PodSpec) => ({
    ...spec,
    nodeName: was.nodeName ? spec.nodeName : undefined,
    activeDeadlineSeconds: undefined,
    tolerations: undefined,
    schedulingGates: undefined,
    ephemeralContainers: undefined,
    containers: spec.containers?.map((c) => ({ ...c, image: '' })),
    initContainers: spec.initContainers?.map((c) => ({ ...c, image: '' })),
  });
  if (sameJson(fixed(pod.spec, old.spec), fixed(old.spec, old.spec))) {
    if (sameJson(pod.spec.ephemeralContainers, old.spec.ephemeralContainers)) return [];
    const errors = validateEphemeralContainersUpdate(pod.spec, old.spec);
    return errors.length > 0 ? errors : validatePodSpec(pod.spec, 'spec');
  }
  return [updateForbidden];
}

/** What is said of any other change of a pod. */
export const updateForbidden: FieldError = fieldForbidden(
  'spec',
  'pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,' +
    '`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),' +
    '`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)',
);

/** Guaranteed when every container limits cpu and memory and requests as much; BestEffort when none asks for any. */
export function qosClassOf(spec: PodSpec): 'Guaranteed' | 'Burstable' | 'BestEffort' {
  const all = [...(spec.containers ?? []), ...(spec.initContainers ?? [])];
  const amount = (list: Record<string, string | number> | undefined, name: string) =>
    parseQuantity(list?.[name] ?? 0) ?? 0;
  const amounts = all.flatMap(({ resources }) =>
    ['cpu', 'memory'].map((name) => {
      const limit = amount(resources?.limits, name);
      return { limit, request: resources?.requests?.[name] === undefined ? limit : amount(resources.requests, name) };
    }),
  );
  if (amounts.every(({ limit, request }) => limit === 0 && request === 0)) return 'BestEffort';
  return amounts.every(({ limit, request }) => limit > 0 && limit === request) ? 'Guaranteed' : 'Burstable';
}
