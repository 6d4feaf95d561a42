/** What a Service is given by the server: addresses, node ports, families; in Kubernetes' words when it cannot be. */
import { isIP } from 'node:net';
import { type CoreService, CoreServiceKind } from '../../../api/core/service.ts';
import {
  headless,
  needsClusterIp,
  needsHealthCheckNodePort,
  needsNodePorts,
  type ServicePort,
  type ServiceSpec,
} from '../../../api/core/service-spec.ts';
import { type FieldError, fieldInvalid } from '../../../api/field-error.ts';
import { ApiError, invalid } from '../../../api/status.ts';
import type { Claims } from './service-pool.ts';

/** The only one that the cluster has. */
const clusterFamily = 'IPv4';

/** Changes `service`. Throws ApiError. What `old` has is its own already. */
export function allocate(service: CoreService, old: CoreService | undefined, claims: Claims): void {
  const refuse = (error: FieldError) => invalid(CoreServiceKind, service.metadata.name, [error]);
  const { spec } = service;
  if (needsClusterIp(spec)) {
    setFamilies(spec, refuse);
    if (spec.clusterIPs?.[0] !== headless) allocateAddresses(spec, old?.spec, claims, refuse);
  }
  if (needsNodePorts(spec)) allocateNodePorts(spec, old?.spec, claims, refuse);
  if (needsHealthCheckNodePort(spec)) allocateHealthCheckNodePort(spec, old?.spec, claims);
}

type Refuse = (error: FieldError) => ApiError;

function setFamilies(spec: ServiceSpec, refuse: Refuse): void {
  const { clusterIPs = [], selector = {} } = spec;
  const isHeadless = clusterIPs[0] === headless;
  // Whose endpoints are somebody else's to write may have them of any family.
  const isFree = isHeadless && Object.keys(selector).length === 0;
  spec.ipFamilyPolicy ??= isFree ? 'RequireDualStack' : 'SingleStack';
  const path = 'spec.ipFamilyPolicy';
  for (const [field, values] of [
    ['cluster IPs', clusterIPs],
    ['IP families', spec.ipFamilies ?? []],
  ] as const) {
    if (spec.ipFamilyPolicy !== 'SingleStack' || values.length < 2) continue;
    const why = `must be 'RequireDualStack' or 'PreferDualStack' when multiple ${field} are specified`;
    throw refuse(fieldInvalid(path, spec.ipFamilyPolicy, why));
  }
  clusterIPs.forEach((address, i) => {
    const family = `IPv${isIP(address)}`;
    if (address === headless || spec.ipFamilies?.[i] !== undefined) return;
    if (family !== clusterFamily) {
      throw refuse(fieldInvalid(`spec.clusterIPs[${i}]`, clusterIPs, `${family} is not configured on this cluster`));
    }
    spec.ipFamilies = [...(spec.ipFamilies ?? []), family];
  });
  spec.ipFamilies ??= [clusterFamily];
  if (isFree) {
    const [first] = spec.ipFamilies;
    if (spec.ipFamilies.length < 2 && spec.ipFamilyPolicy !== 'SingleStack') {
      spec.ipFamilies = [...spec.ipFamilies, first === 'IPv4' ? 'IPv6' : 'IPv4'];
    }
    return;
  }
  if (spec.ipFamilyPolicy === 'RequireDualStack') {
    throw refuse(fieldInvalid(path, spec.ipFamilyPolicy, 'this cluster is not configured for dual-stack services'));
  }
  spec.ipFamilies.forEach((family, i) => {
    if (family === clusterFamily) return;
    throw refuse(fieldInvalid(`spec.ipFamilies[${i}]`, family, 'not configured on this cluster'));
  });
}

function allocateAddresses(spec: ServiceSpec, old: ServiceSpec | undefined, claims: Claims, refuse: Refuse): void {
  const wanted = spec.clusterIPs ?? [];
  const addresses = (spec.ipFamilies ?? []).map((_, i) => {
    const address = wanted[i];
    if (address === undefined) {
      const next = claims.nextAddress();
      if (next === undefined) throw exhausted('failed to allocate a serviceIP: range is full');
      return next;
    }
    const why = old?.clusterIPs?.includes(address) ? undefined : claims.takeAddress(address);
    if (why === undefined) return address;
    throw refuse(fieldInvalid('spec.clusterIPs', wanted, `failed to allocate IP ${address}: ${why}`));
  });
  const [first] = addresses;
  if (first === undefined) return;
  spec.clusterIP = first;
  spec.clusterIPs = addresses;
}

function allocateNodePorts(spec: ServiceSpec, old: ServiceSpec | undefined, claims: Claims, refuse: Refuse): void {
  const ports = spec.ports ?? [];
  const own = new Set((old?.ports ?? []).flatMap(({ nodePort }) => nodePort ?? []));
  ports.forEach(({ nodePort }, i) => {
    if (nodePort === undefined || own.has(nodePort)) return;
    const why = claims.takePort(nodePort);
    if (why !== undefined) throw refuse(fieldInvalid(`spec.ports[${i}].nodePort`, nodePort, why));
    own.add(nodePort);
  });
  if (spec.type === 'LoadBalancer' && spec.allocateLoadBalancerNodePorts === false) return;
  for (const port of ports) {
    if (port.nodePort !== undefined) continue;
    const nodePort = shared(port, ports) ?? claims.nextPort();
    if (nodePort === undefined) throw exhausted('failed to allocate a nodePort: range is full');
    port.nodePort = nodePort;
  }
}

/** One number serves a port in several protocols. */
function shared({ port, protocol }: ServicePort, ports: readonly ServicePort[]): number | undefined {
  const found = ports.find((other) => other.port === port && other.nodePort !== undefined)?.nodePort;
  const isUsed = ports.some((other) => other.nodePort === found && other.protocol === protocol);
  return isUsed ? undefined : found;
}

function allocateHealthCheckNodePort(spec: ServiceSpec, old: ServiceSpec | undefined, claims: Claims): void {
  const wanted = spec.healthCheckNodePort;
  if (wanted === undefined) {
    const next = claims.nextPort();
    if (next === undefined) throw exhausted('failed to allocate a HealthCheck NodePort 0: range is full');
    spec.healthCheckNodePort = next;
    return;
  }
  if (old && needsHealthCheckNodePort(old) && old.healthCheckNodePort === wanted) return;
  const why = claims.takePort(wanted);
  if (why !== undefined) throw exhausted(`failed to allocate requested HealthCheck NodePort ${wanted}: ${why}`);
}

const exhausted = (why: string) => new ApiError(500, 'InternalError', `Internal error occurred: ${why}`);
