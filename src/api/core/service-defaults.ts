/** What a Service gets that does not say it, as Kubernetes' defaults and its registry of Services have it. */
import { sameJson } from '../../lib/same-json.ts';
import {
  isExternallyAccessible,
  needsClusterIp,
  needsHealthCheckNodePort,
  needsNodePorts,
  type ServiceSpec,
} from './service-spec.ts';

/** Three hours. */
const affinitySeconds = 10_800;

/** Changes `spec`. Addresses and node ports that nobody names are the API server's to allocate. */
export function setServiceDefaults(spec: ServiceSpec, old: ServiceSpec | undefined): void {
  dropEmpty(spec);
  spec.type ??= 'ClusterIP';
  setAffinity(spec);
  for (const port of spec.ports ?? []) {
    port.protocol ??= 'TCP';
    port.targetPort ??= port.port;
  }
  if (isExternallyAccessible(spec)) spec.externalTrafficPolicy ??= 'Cluster';
  if (needsClusterIp(spec)) spec.internalTrafficPolicy ??= 'Cluster';
  if (spec.type === 'LoadBalancer') spec.allocateLoadBalancerNodePorts ??= true;
  if (old) {
    keepAllocated(spec, old);
    dropWhatTheTypeHasNot(spec, old);
  }
  matchClusterIps(spec, old);
}

/** Some clients send what they do not say as empty. */
function dropEmpty(spec: ServiceSpec): void {
  if (spec.clusterIP === '') delete spec.clusterIP;
  if (spec.clusterIPs?.length === 0) delete spec.clusterIPs;
  if (spec.ipFamilies?.length === 0) delete spec.ipFamilies;
  if (spec.externalTrafficPolicy === '') delete spec.externalTrafficPolicy;
  if (spec.healthCheckNodePort === 0) delete spec.healthCheckNodePort;
  for (const port of spec.ports ?? []) {
    if (port.nodePort === 0) delete port.nodePort;
    if (port.targetPort === 0 || port.targetPort === '') delete port.targetPort;
  }
}

function setAffinity(spec: ServiceSpec): void {
  spec.sessionAffinity ??= 'None';
  if (spec.sessionAffinity === 'None') delete spec.sessionAffinityConfig;
  else if (spec.sessionAffinityConfig?.clientIP?.timeoutSeconds === undefined) {
    spec.sessionAffinityConfig = { clientIP: { timeoutSeconds: affinitySeconds } };
  }
}

/** Whoever leaves out what was allocated does not ask for another: many clients replace a Service by what they know. */
function keepAllocated(spec: ServiceSpec, old: ServiceSpec): void {
  if (needsClusterIp(old) && needsClusterIp(spec)) {
    if (old.clusterIP !== undefined) spec.clusterIP ??= old.clusterIP;
    if (old.clusterIPs) spec.clusterIPs ??= [...old.clusterIPs];
    if (old.ipFamilyPolicy !== undefined) spec.ipFamilyPolicy ??= old.ipFamilyPolicy;
    if (old.ipFamilies) spec.ipFamilies ??= [...old.ipFamilies];
  }
  if (needsNodePorts(old) && needsNodePorts(spec)) keepNodePorts(spec, old);
  if (needsHealthCheckNodePort(old) && needsHealthCheckNodePort(spec) && old.healthCheckNodePort !== undefined) {
    spec.healthCheckNodePort ??= old.healthCheckNodePort;
  }
}

function keepNodePorts(spec: ServiceSpec, old: ServiceSpec): void {
  const now = nodePortsOf(spec);
  const kept = new Set([...nodePortsOf(old)].filter((port) => now.has(port)));
  const byName = new Map((old.ports ?? []).map(({ name, nodePort }) => [name ?? '', nodePort]));
  for (const port of spec.ports ?? []) {
    const before = byName.get(port.name ?? '');
    if (port.nodePort === undefined && before !== undefined && !kept.has(before)) port.nodePort = before;
  }
}

/** What an earlier type had and this one has not goes, unless the client has changed it: then it is told. */
function dropWhatTheTypeHasNot(spec: ServiceSpec, old: ServiceSpec): void {
  if (needsClusterIp(old) && !needsClusterIp(spec)) {
    dropSame(spec, old, 'clusterIP', 'clusterIPs', 'ipFamilies', 'ipFamilyPolicy', 'internalTrafficPolicy');
  }
  if (needsNodePorts(old) && !needsNodePorts(spec)) {
    const before = nodePortsOf(old);
    const hasNew = [...nodePortsOf(spec)].some((port) => !before.has(port));
    if (!hasNew) for (const port of spec.ports ?? []) delete port.nodePort;
  }
  if (needsHealthCheckNodePort(old) && !needsHealthCheckNodePort(spec)) dropSame(spec, old, 'healthCheckNodePort');
  if (old.type === 'LoadBalancer' && spec.type !== 'LoadBalancer') {
    dropSame(spec, old, 'allocateLoadBalancerNodePorts', 'loadBalancerClass');
  }
  if (isExternallyAccessible(old) && !isExternallyAccessible(spec)) dropSame(spec, old, 'externalTrafficPolicy');
}

function dropSame(spec: ServiceSpec, old: ServiceSpec, ...fields: (keyof ServiceSpec)[]): void {
  for (const field of fields) if (sameJson(spec[field], old[field])) delete spec[field];
}

/** `clusterIP` is the first of `clusterIPs`: who knows or changes only the former means both. */
function matchClusterIps(spec: ServiceSpec, old: ServiceSpec | undefined): void {
  if (spec.clusterIP === undefined) return;
  const isUntouched =
    old !== undefined && old.clusterIP !== spec.clusterIP && sameJson(spec.clusterIPs, old.clusterIPs);
  if (spec.clusterIPs === undefined || isUntouched) spec.clusterIPs = [spec.clusterIP];
}

function nodePortsOf({ ports = [] }: ServiceSpec): Set<number> {
  return new Set(ports.flatMap(({ nodePort }) => nodePort ?? []));
}
