import { CustomResourceDefinitionKind } from '../../../../api/apiextensions/custom-resource-definition.ts';
import { type Deployment, DeploymentKind } from '../../../../api/apps/deployment.ts';
import { type ReplicaSet, ReplicaSetKind } from '../../../../api/apps/replica-set.ts';
import { LeaseKind } from '../../../../api/coordination/lease.ts';
import { ConfigMapKind } from '../../../../api/core/config-map.ts';
import { type Endpoints, EndpointsKind } from '../../../../api/core/endpoints.ts';
import { type CoreEvent, EventKind } from '../../../../api/core/event.ts';
import { NamespaceKind } from '../../../../api/core/namespace.ts';
import { type Node, NodeKind } from '../../../../api/core/node.ts';
import { type Pod, PodKind } from '../../../../api/core/pod.ts';
import type { PodTemplateSpec } from '../../../../api/core/pod-spec.ts';
import { SecretKind } from '../../../../api/core/secret.ts';
import { type CoreService, CoreServiceKind } from '../../../../api/core/service.ts';
import { ServiceAccountKind } from '../../../../api/core/service-account.ts';
import { EndpointSliceKind } from '../../../../api/discovery/endpoint-slice.ts';
import type { Kind } from '../../../../api/kind.ts';
import type { KubeObject, LabelSelector } from '../../../../api/meta.ts';
import { selectorText } from '../../../../api/selector.ts';
import { ageText } from './age.ts';
import { ageColumn, type Cell, type Column, nameColumn } from './column.ts';
import { summarizePod } from './pod-status.ts';

/** The columns that kubectl's users know of the built-in kinds; undefined for any other kind. */
export function builtinColumns(kind: Kind): readonly Column[] | undefined {
  return tables.get(keyOf(kind));
}

/** The columns of a kind between its name and its age; a name that starts with `+` shows only with `-o wide`. */
function table<T extends KubeObject>(kind: Kind<T>, cells: Cells<T>): [string, readonly Column[]] {
  const own = columnsFrom(cells);
  const shown = own.filter((column) => column.priority === 0);
  const wide = own.filter((column) => column.priority > 0);
  return [keyOf(kind), [nameColumn, ...shown, ageColumn, ...wide]];
}

type Cells<T> = Record<string, (object: T, nowMs: number) => Cell | undefined>;

function columnsFrom<T extends KubeObject>(cells: Cells<T>): Column[] {
  return Object.entries(cells).map(([name, cell]) => ({
    name: name.replace(/^\+/, ''),
    type: 'string',
    format: '',
    description: '',
    priority: name.startsWith('+') ? 1 : 0,
    cell: (object, nowMs) => cell(object as T, nowMs) ?? '<none>',
  }));
}

const keyOf = (kind: Pick<Kind, 'group' | 'kind'>): string => `${kind.kind}.${kind.group}`;

/** Events are read by time, not by name. */
const eventCells: Cells<CoreEvent> = {
  'Last Seen': (event, nowMs) => ageText(lastSeen(event), nowMs),
  Type: (event) => event.type ?? '',
  Reason: (event) => event.reason ?? '',
  Object: ({ involvedObject }) => `${involvedObject.kind?.toLowerCase() ?? ''}/${involvedObject.name ?? ''}`,
  '+Subobject': ({ involvedObject }) => involvedObject.fieldPath ?? '',
  '+Source': ({ reportingComponent, source }) =>
    [source?.component ?? reportingComponent, source?.host].filter(Boolean).join(', '),
  Message: (event) => event.message?.trim() ?? '',
  '+First Seen': (event, nowMs) => ageText(event.firstTimestamp ?? event.eventTime ?? lastSeen(event), nowMs),
  '+Count': (event) => event.count ?? 1,
};
const createdAt: Column = {
  ...ageColumn,
  name: 'Created At',
  type: 'date',
  cell: (object) => object.metadata.creationTimestamp ?? null,
};

const tables = new Map<string, readonly Column[]>([
  table<Pod>(PodKind, {
    Ready: (pod, nowMs) => summarizePod(pod, nowMs).ready,
    Status: (pod, nowMs) => summarizePod(pod, nowMs).status,
    Restarts: (pod, nowMs) => summarizePod(pod, nowMs).restarts,
    '+IP': (pod) => pod.status?.podIP,
    '+Node': (pod) => pod.spec.nodeName,
    '+Nominated Node': (pod) => pod.status?.nominatedNodeName,
    '+Readiness Gates': (pod) => readinessGates(pod),
  }),
  table<Deployment>(DeploymentKind, {
    Ready: ({ spec, status }) => `${status?.readyReplicas ?? 0}/${spec.replicas ?? 1}`,
    'Up-to-date': ({ status }) => status?.updatedReplicas ?? 0,
    Available: ({ status }) => status?.availableReplicas ?? 0,
    '+Containers': ({ spec }) => containerNames(spec.template),
    '+Images': ({ spec }) => images(spec.template),
    '+Selector': ({ spec }) => selectorOf(spec.selector),
  }),
  table<ReplicaSet>(ReplicaSetKind, {
    Desired: ({ spec }) => spec.replicas ?? 1,
    Current: ({ status }) => status?.replicas ?? 0,
    Ready: ({ status }) => status?.readyReplicas ?? 0,
    '+Containers': ({ spec }) => containerNames(spec.template),
    '+Images': ({ spec }) => images(spec.template),
    '+Selector': ({ spec }) => selectorOf(spec.selector),
  }),
  table<CoreService>(CoreServiceKind, {
    Type: ({ spec }) => spec.type,
    'Cluster-IP': ({ spec }) => spec.clusterIP || undefined,
    'External-IP': externalAddress,
    'Port(s)': ({ spec }) => list((spec.ports ?? []).map((p) => `${p.port}${nodePort(p)}/${p.protocol ?? 'TCP'}`)),
    '+Selector': ({ spec }) => selectorOf({ matchLabels: spec.selector ?? {} }),
  }),
  table(NamespaceKind, {
    Status: (namespace) => (namespace.metadata.deletionTimestamp ? 'Terminating' : namespace.status?.phase),
  }),
  table<Node>(NodeKind, {
    Status: nodeStatus,
    Roles: (node) => list(rolesOf(node)),
    Version: ({ status }) => text(status?.nodeInfo?.kubeletVersion),
    '+Internal-IP': (node) => addressOf(node, 'InternalIP'),
    '+External-IP': (node) => addressOf(node, 'ExternalIP'),
    '+OS-Image': ({ status }) => text(status?.nodeInfo?.osImage) ?? '<unknown>',
    '+Kernel-Version': ({ status }) => text(status?.nodeInfo?.kernelVersion) ?? '<unknown>',
    '+Container-Runtime': ({ status }) => text(status?.nodeInfo?.containerRuntimeVersion) ?? '<unknown>',
  }),
  table(ConfigMapKind, {
    Data: ({ binaryData = {}, data = {} }) => Object.keys(data).length + Object.keys(binaryData).length,
  }),
  table(SecretKind, {
    Type: (secret) => secret.type,
    Data: (secret) => Object.keys(secret.data ?? {}).length,
  }),
  table(ServiceAccountKind, { Secrets: (account) => account.secrets?.length ?? 0 }),
  table<Endpoints>(EndpointsKind, {
    Endpoints: ({ subsets = [] }) =>
      some(
        subsets.flatMap(({ addresses = [], ports = [] }) =>
          addresses.flatMap(({ ip }) => (ports.length === 0 ? [ip] : ports.map(({ port }) => `${ip}:${port}`))),
        ),
      ),
  }),
  table(EndpointSliceKind, {
    AddressType: (slice) => slice.addressType,
    Ports: (slice) => some((slice.ports ?? []).map(({ port }) => `${port ?? '*'}`)) ?? '<unset>',
    Endpoints: (slice) => some((slice.endpoints ?? []).flatMap((endpoint) => endpoint.addresses)) ?? '<unset>',
  }),
  table(LeaseKind, { Holder: (lease) => lease.spec?.holderIdentity ?? '' }),
  [keyOf(EventKind), [...columnsFrom(eventCells), { ...nameColumn, priority: 1 }]],
  [keyOf(CustomResourceDefinitionKind), [nameColumn, createdAt]],
]);

function lastSeen(event: CoreEvent): string | undefined {
  return event.lastTimestamp ?? event.eventTime ?? event.firstTimestamp ?? event.metadata.creationTimestamp;
}

const list = (parts: readonly string[]): string | undefined => (parts.length === 0 ? undefined : parts.join(','));
const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);
const containerNames = (template: PodTemplateSpec) => list((template.spec.containers ?? []).map((c) => c.name));
const images = (template: PodTemplateSpec) => list((template.spec.containers ?? []).map((c) => c.image ?? ''));
const selectorOf = (selector: LabelSelector | undefined) => selectorText(selector ?? {}) || undefined;
const nodePort = (port: { nodePort?: number }) => (port.nodePort ? `:${port.nodePort}` : '');

/** The first three, and how many more there are. */
function some(parts: readonly string[]): string | undefined {
  return list(parts.length > 3 ? [`${parts.slice(0, 3).join(',')} + ${parts.length - 3} more...`] : parts);
}

function externalAddress({ spec, status }: CoreService): string | undefined {
  if (spec.type === 'ExternalName') return spec.externalName;
  const balanced = (status?.loadBalancer?.ingress ?? []).map(({ hostname, ip }) => ip ?? hostname ?? '');
  const all = list([...balanced, ...(spec.externalIPs ?? [])]);
  return all ?? (spec.type === 'LoadBalancer' ? '<pending>' : undefined);
}

function readinessGates(pod: Pod): string | undefined {
  const gates = pod.spec.readinessGates ?? [];
  if (gates.length === 0) return undefined;
  const isTrue = (type: string) => pod.status?.conditions?.some((c) => c.type === type && c.status === 'True');
  return `${gates.filter((gate) => isTrue(gate.conditionType)).length}/${gates.length}`;
}

function nodeStatus(node: Node): string {
  const ready = node.status?.conditions?.find((condition) => condition.type === 'Ready');
  const words = [ready === undefined ? 'Unknown' : ready.status === 'True' ? 'Ready' : 'NotReady'];
  if (node.spec?.unschedulable) words.push('SchedulingDisabled');
  return words.join(',');
}

function rolesOf(node: Node): string[] {
  const prefix = 'node-role.kubernetes.io/';
  return Object.keys(node.metadata.labels ?? {}).flatMap((key) =>
    key.startsWith(prefix) && key !== prefix ? [key.slice(prefix.length)] : [],
  );
}

const addressOf = (node: Node, type: string) => node.status?.addresses?.find((a) => a.type === type)?.address;
