import { isPodReady, isPodTerminal, type Pod, portsAnnotation } from '../../../api/core/pod.ts';
import type { CoreService } from '../../../api/core/service.ts';
import type { ServicePort } from '../../../api/core/service-spec.ts';
import type { Endpoint, EndpointPort, EndpointSlice } from '../../../api/discovery/endpoint-slice.ts';
import { sameJson } from '../../../lib/same-json.ts';

/** Endpoints that share their ports: what one slice holds. */
export interface EndpointGroup {
  ports: EndpointPort[];
  endpoints: Endpoint[];
}

/** Kubernetes' own limit for its controller. */
const endpointsPerSliceMax = 100;

/** The endpoints of a Service, in groups of equal ports; pods in the order of their names. */
export function groupsOf(service: CoreService, pods: readonly Pod[]): EndpointGroup[] {
  const groups = new Map<string, EndpointGroup>();
  for (const pod of [...pods].sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))) {
    if (!pod.status?.podIP || isPodTerminal(pod)) continue;
    const ports = portsOf(service.spec.ports ?? [], pod);
    if (ports.length === 0 && (service.spec.ports?.length ?? 0) > 0) continue;
    let id = JSON.stringify(ports);
    while ((groups.get(id)?.endpoints.length ?? 0) >= endpointsPerSliceMax) id += '+';
    const group = groups.get(id) ?? { ports, endpoints: [] };
    group.endpoints.push(endpointOf(service, pod, pod.status.podIP));
    groups.set(id, group);
  }
  return [...groups.values()];
}

function endpointOf(service: CoreService, pod: Pod, address: string): Endpoint {
  const serving = isPodReady(pod);
  const terminating = pod.metadata.deletionTimestamp !== undefined;
  const { name, namespace, uid } = pod.metadata;
  const { hostname, subdomain } = pod.spec;
  return {
    addresses: [address],
    conditions: { ready: service.spec.publishNotReadyAddresses || (serving && !terminating), serving, terminating },
    // DNS then has a name for it.
    ...(hostname && subdomain === service.metadata.name && { hostname }),
    ...(pod.spec.nodeName === undefined ? {} : { nodeName: pod.spec.nodeName }),
    targetRef: { kind: 'Pod', name, ...(namespace && { namespace }), ...(uid && { uid }) },
  };
}

/** Where the Service's ports lead on this pod: by name or number, then through the ports that the node mapped. */
function portsOf(ports: readonly ServicePort[], pod: Pod): EndpointPort[] {
  const mapped = mappedPorts(pod);
  return ports.flatMap((port) => {
    const target = port.targetPort ?? port.port;
    const containerPort = typeof target === 'number' ? target : namedPort(pod, target, port.protocol ?? 'TCP');
    if (containerPort === undefined) return [];
    return [
      {
        name: port.name ?? '',
        port: mapped[containerPort] ?? containerPort,
        protocol: port.protocol ?? 'TCP',
        ...(port.appProtocol === undefined ? {} : { appProtocol: port.appProtocol }),
      },
    ];
  });
}

function namedPort(pod: Pod, name: string, protocol: string): number | undefined {
  for (const { ports } of [...pod.spec.containers, ...(pod.spec.initContainers ?? [])]) {
    const found = ports?.find((port) => port.name === name && (port.protocol ?? 'TCP') === protocol);
    if (found) return found.containerPort;
  }
}

function mappedPorts(pod: Pod): Record<string, number> {
  const text = pod.metadata.annotations?.[portsAnnotation];
  if (text === undefined) return {};
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, number>) : {};
  } catch {
    return {}; // An annotation that somebody spoilt maps nothing.
  }
}

/** What to write so that a Service's slices hold `groups`. */
export interface SliceChanges {
  update: EndpointSlice[];
  create: EndpointGroup[];
  remove: EndpointSlice[];
}

/**
 * Fits the groups into the slices that are there: the slice that has a group's ports keeps it, other groups take over
 * slices that are left, and the last slice of a Service without endpoints stays, empty. So a Service that goes to zero
 * and back costs one write each way.
 */
export function fitSlices(groups: readonly EndpointGroup[], slices: readonly EndpointSlice[]): SliceChanges {
  const changes: SliceChanges = { update: [], create: [], remove: [] };
  const free = [...slices];
  const unplaced: EndpointGroup[] = [];
  const put = (group: EndpointGroup, slice: EndpointSlice) => {
    free.splice(free.indexOf(slice), 1);
    if (sameJson(slice.endpoints, group.endpoints) && sameJson(slice.ports ?? [], group.ports)) return;
    changes.update.push({ ...slice, ports: group.ports, endpoints: group.endpoints });
  };
  for (const group of groups) {
    const slice = free.find((candidate) => sameJson(candidate.ports ?? [], group.ports));
    if (slice) put(group, slice);
    else unplaced.push(group);
  }
  for (const group of unplaced) {
    const slice = free[0];
    if (slice) put(group, slice);
    else changes.create.push(group);
  }
  if (groups.length === 0) {
    const slice = free[0];
    if (slice) put({ ports: slice.ports ?? [], endpoints: [] }, slice);
    else changes.create.push({ ports: [], endpoints: [] });
  }
  changes.remove = free;
  return changes;
}
