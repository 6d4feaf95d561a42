/** What Kubernetes has against a Service, in its words. */
import { isIP } from 'node:net';
import {
  type FieldError,
  fieldDuplicate,
  fieldForbidden,
  fieldInvalid,
  fieldNotSupported,
  fieldRequired,
} from '../field-error.ts';
import { dnsLabelRule, dnsSubdomainRule, isDnsLabel, isDnsSubdomain } from '../names.ts';
import { portRule, validateTargetPort } from './pod-validation.ts';
import {
  headless,
  isExternallyAccessible,
  needsHealthCheckNodePort,
  type ServicePort,
  type ServiceSpec,
  serviceTypes,
} from './service-spec.ts';

const trafficPolicies = ['Cluster', 'Local'];
const families = ['IPv4', 'IPv6'];
const familyPolicies = ['PreferDualStack', 'RequireDualStack', 'SingleStack'];
const affinitySecondsMax = 86_400;
const unchangeable = 'may not change once set';

/** `old` is the stored one, on update. What is allocated need not be there yet. */
export function validateServiceSpec(spec: ServiceSpec, old: ServiceSpec | undefined): FieldError[] {
  return [
    ...(old ? [...validateAddressChange(spec, old), ...validateHealthPortChange(spec, old)] : []),
    ...validateType(spec),
    ...validatePorts(spec),
    ...validateNodePorts(spec),
    ...validateAffinity(spec),
    ...validateAddresses(spec, old),
    ...validateExternalIps(spec, old),
    ...validateBalancer(spec),
    ...validateTrafficPolicies(spec),
  ];
}

/** An address is for life, unless the Service becomes, or was, a mere name. */
function validateAddressChange(spec: ServiceSpec, old: ServiceSpec): FieldError[] {
  if (spec.type === 'ExternalName' || old.type === 'ExternalName') return [];
  const [now = [], before = []] = [spec.clusterIPs, old.clusterIPs];
  if (before[0] === undefined || (isHeadless(spec) && isHeadless(old))) return [];
  if (now.length === 0) return [fieldInvalid('spec.clusterIPs[0]', now, 'primary clusterIP can not be unset')];
  return now.flatMap((address, i) =>
    before[i] === undefined || before[i] === address ? [] : [fieldInvalid(`spec.clusterIPs[${i}]`, now, unchangeable)],
  );
}

function validateHealthPortChange(spec: ServiceSpec, old: ServiceSpec): FieldError[] {
  if (!needsHealthCheckNodePort(spec) || !needsHealthCheckNodePort(old)) return [];
  if (old.healthCheckNodePort === undefined || spec.healthCheckNodePort === old.healthCheckNodePort) return [];
  return [fieldForbidden('spec.healthCheckNodePort', 'field is immutable')];
}

function validateType(spec: ServiceSpec): FieldError[] {
  const { type } = spec;
  if (type && !serviceTypes.includes(type)) return [fieldNotSupported('spec.type', type, serviceTypes)];
  if (type === 'ExternalName') return validateExternalName(spec);
  if ((type === 'NodePort' || type === 'LoadBalancer') && isHeadless(spec)) {
    return [fieldInvalid('spec.clusterIPs[0]', headless, `may not be set to 'None' for ${type} services`)];
  }
  return !spec.ports?.length && !isHeadless(spec) ? [fieldRequired('spec.ports')] : [];
}

function validateExternalName({ clusterIPs, ipFamilies, ipFamilyPolicy, externalName }: ServiceSpec): FieldError[] {
  const errors: FieldError[] = [];
  const why = 'may not be set for ExternalName services';
  if (clusterIPs?.length) errors.push(fieldForbidden('spec.clusterIPs', why));
  if (ipFamilies?.length) errors.push(fieldForbidden('spec.ipFamilies', why));
  if (ipFamilyPolicy !== undefined) errors.push(fieldForbidden('spec.ipFamilyPolicy', why));
  if (!externalName) errors.push(fieldRequired('spec.externalName'));
  else if (!isDnsSubdomain(externalName.replace(/\.$/, ''))) {
    errors.push(fieldInvalid('spec.externalName', externalName, dnsSubdomainRule));
  }
  return errors;
}

function validatePorts({ ports = [] }: ServiceSpec): FieldError[] {
  const errors: FieldError[] = [];
  const names = new Set<string>();
  const numbers = new Set<string>();
  ports.forEach((port, i) => {
    const at = `spec.ports[${i}]`;
    if (!port.name && ports.length > 1) errors.push(fieldRequired(`${at}.name`));
    if (port.name && !isDnsLabel(port.name)) errors.push(fieldInvalid(`${at}.name`, port.name, dnsLabelRule));
    if (port.name && names.has(port.name)) errors.push(fieldDuplicate(`${at}.name`, port.name));
    names.add(port.name ?? '');
    if (!isPort(port.port)) errors.push(fieldInvalid(`${at}.port`, port.port, portRule));
    const number = `${port.port}/${port.protocol}`;
    if (numbers.has(number)) errors.push(fieldDuplicate(at, number));
    numbers.add(number);
    if (port.targetPort !== undefined) errors.push(...validateTargetPort(port.targetPort, `${at}.targetPort`));
  });
  return errors;
}

function validateNodePorts({ type, ports = [] }: ServiceSpec): FieldError[] {
  const seen = new Set<string>();
  return ports.flatMap(({ nodePort, protocol }: ServicePort, i) => {
    if (nodePort === undefined) return [];
    const at = `spec.ports[${i}].nodePort`;
    if (type === 'ClusterIP') return [fieldForbidden(at, "may not be used when `type` is 'ClusterIP'")];
    const id = `${nodePort}/${protocol}`;
    const isTwice = seen.has(id);
    seen.add(id);
    return isTwice ? [fieldDuplicate(at, nodePort)] : [];
  });
}

function validateAffinity({ sessionAffinity, sessionAffinityConfig }: ServiceSpec): FieldError[] {
  const seconds = sessionAffinityConfig?.clientIP?.timeoutSeconds;
  if (sessionAffinity !== 'ClientIP' || seconds === undefined) return [];
  if (seconds > 0 && seconds <= affinitySecondsMax) return [];
  const why = `must be greater than 0 and less than ${affinitySecondsMax}`;
  return [fieldInvalid('spec.sessionAffinityConfig.clientIP.timeoutSeconds', seconds, why)];
}

function validateAddresses(spec: ServiceSpec, old: ServiceSpec | undefined): FieldError[] {
  if (spec.type === 'ExternalName') return [];
  const errors: FieldError[] = [];
  const { clusterIP, clusterIPs = [], ipFamilies = [], ipFamilyPolicy } = spec;
  const path = 'spec.clusterIPs';
  if (clusterIP === undefined) {
    if (clusterIPs.length > 0) {
      errors.push(fieldInvalid(path, clusterIPs, 'must be empty when `clusterIP` is not specified'));
    }
  } else if (clusterIPs[0] !== clusterIP) {
    errors.push(fieldInvalid(path, clusterIPs, 'first value must match `clusterIP`'));
  }
  ipFamilies.forEach((family, i) => {
    const at = `spec.ipFamilies[${i}]`;
    if (!families.includes(family)) errors.push(fieldNotSupported(at, family, families));
    if (ipFamilies.indexOf(family) < i) errors.push(fieldDuplicate(at, family));
  });
  if (ipFamilyPolicy !== undefined && !familyPolicies.includes(ipFamilyPolicy)) {
    errors.push(fieldNotSupported('spec.ipFamilyPolicy', ipFamilyPolicy, familyPolicies));
  }
  const before = old?.clusterIPs ?? [];
  const malformed = clusterIPs.flatMap((address, i) => validateAddress(address, i, clusterIPs, before));
  if (malformed.length > 0) return [...errors, ...malformed];
  if (clusterIPs.length > 2) errors.push(fieldInvalid(path, clusterIPs, 'may only hold up to 2 values'));
  const versions = new Set(clusterIPs.map((address) => isIP(address)));
  if (clusterIPs.length > versions.size) {
    errors.push(fieldInvalid(path, clusterIPs, 'may specify no more than one IP for each IP family'));
  }
  if (isHeadless(spec)) return errors;
  clusterIPs.forEach((address, i) => {
    const family = ipFamilies[i];
    if (family === undefined || family === `IPv${isIP(address)}`) return;
    errors.push(
      fieldInvalid(`${path}[${i}]`, address, `expected an ${family} value as indicated by \`ipFamilies[${i}]\``),
    );
  });
  return errors;
}

function validateAddress(
  address: string,
  i: number,
  all: readonly string[],
  before: readonly string[],
): readonly FieldError[] {
  if (i === 0 && address === headless) {
    return all.length > 1 ? [fieldInvalid('spec.clusterIPs', all, "'None' must be the first and only value")] : [];
  }
  if (isIP(address) !== 0 || before.includes(address)) return [];
  return [fieldInvalid(`spec.clusterIPs[${i}]`, address, addressRule)];
}

const addressRule = 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)';

function validateExternalIps({ externalIPs = [] }: ServiceSpec, old: ServiceSpec | undefined): FieldError[] {
  return externalIPs.flatMap((address, i) =>
    isIP(address) !== 0 || old?.externalIPs?.includes(address)
      ? []
      : [fieldInvalid(`spec.externalIPs[${i}]`, address, addressRule)],
  );
}

function validateBalancer(spec: ServiceSpec): FieldError[] {
  if (spec.type === 'LoadBalancer') return [];
  const why = "may only be used when `type` is 'LoadBalancer'";
  const errors: FieldError[] = [];
  if (spec.loadBalancerSourceRanges?.length) errors.push(fieldForbidden('spec.LoadBalancerSourceRanges', why));
  if (spec.allocateLoadBalancerNodePorts !== undefined) {
    errors.push(fieldForbidden('spec.allocateLoadBalancerNodePorts', why));
  }
  if (spec.loadBalancerClass !== undefined) errors.push(fieldForbidden('spec.loadBalancerClass', why));
  return errors;
}

function validateTrafficPolicies(spec: ServiceSpec): FieldError[] {
  const errors: FieldError[] = [];
  const { externalTrafficPolicy: external, healthCheckNodePort, internalTrafficPolicy: internal } = spec;
  if (external !== undefined) {
    const path = 'spec.externalTrafficPolicy';
    const why = 'may only be set for externally-accessible services';
    if (!isExternallyAccessible(spec)) errors.push(fieldInvalid(path, external, why));
    else if (!trafficPolicies.includes(external)) errors.push(fieldNotSupported(path, external, trafficPolicies));
  }
  if (internal !== undefined && !trafficPolicies.includes(internal)) {
    errors.push(fieldNotSupported('spec.internalTrafficPolicy', internal, trafficPolicies));
  }
  if (healthCheckNodePort !== undefined) {
    const path = 'spec.healthCheckNodePort';
    const why = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
    if (!needsHealthCheckNodePort(spec)) errors.push(fieldInvalid(path, healthCheckNodePort, why));
    else if (!isPort(healthCheckNodePort)) errors.push(fieldInvalid(path, healthCheckNodePort, portRule));
  }
  return errors;
}

const isPort = (port: number): boolean => port >= 1 && port <= 65535;

const isHeadless = ({ clusterIP }: ServiceSpec): boolean => clusterIP === headless;
