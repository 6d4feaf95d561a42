import {
  type FieldError,
  fieldDuplicate,
  fieldForbidden,
  fieldInvalid,
  fieldNotSupported,
  fieldRequired,
} from '../field-error.ts';
import { dnsLabelRule, dnsSubdomainRule, isDnsLabel, isDnsSubdomain, isEnvVarName, isPortName } from '../names.ts';
import type { Container, EnvVar, Probe, ProbeHandler, ResourceRequirements } from './container.ts';
import { validateDns } from './dns-validation.ts';
import { validateEphemeralContainers } from './ephemeral-containers.ts';
import type { PodSpec } from './pod-spec.ts';
import { parseQuantity, quantityRule } from './quantity.ts';
import { validateSecurity } from './security-validation.ts';
import { validateSubPaths, validateVolume } from './volume-validation.ts';

/** What the schema of a pod's spec cannot say, as in Kubernetes' pkg/apis/core/validation; `at` is the spec's path. */
export function validatePodSpec(spec: PodSpec, at: string): FieldError[] {
  const errors: FieldError[] = [];
  const volumeNames = new Set<string>();
  spec.volumes?.forEach((volume, i) => {
    errors.push(...validateVolume(volume, `${at}.volumes[${i}]`));
    if (volumeNames.has(volume.name)) errors.push(fieldDuplicate(`${at}.volumes[${i}].name`, volume.name));
    volumeNames.add(volume.name);
  });
  if (!spec.containers?.length) errors.push(fieldRequired(`${at}.containers`));
  const names = new Set<string>();
  for (const list of ['initContainers', 'containers', 'ephemeralContainers'] as const) {
    spec[list]?.forEach((container: Container, i) => {
      const path = `${at}.${list}[${i}]`;
      errors.push(...validateContainer(container, path, volumeNames));
      if (list !== 'ephemeralContainers') {
        errors.push(...validateRole(container, path, list === 'initContainers'));
      }
      if (container.name !== undefined && names.has(container.name)) {
        errors.push(fieldDuplicate(`${path}.name`, container.name));
      }
      names.add(container.name);
    });
  }
  errors.push(...validateSecurity(spec, at), ...validateDns(spec, at), ...validateEphemeralContainers(spec, at));
  for (const [field, value] of [
    ['serviceAccountName', spec.serviceAccountName],
    ['nodeName', spec.nodeName],
  ] as const) {
    if (value && !isDnsSubdomain(value)) errors.push(fieldInvalid(`${at}.${field}`, value, dnsSubdomainRule));
  }
  for (const [field, value] of [
    ['hostname', spec.hostname],
    ['subdomain', spec.subdomain],
  ] as const) {
    if (value && !isDnsLabel(value)) errors.push(fieldInvalid(`${at}.${field}`, value, dnsLabelRule));
  }
  return errors;
}

function validateContainer(container: Container, at: string, volumes: ReadonlySet<string>): FieldError[] {
  const errors: FieldError[] = [];
  if (!container.name) errors.push(fieldRequired(`${at}.name`));
  else if (!isDnsLabel(container.name)) errors.push(fieldInvalid(`${at}.name`, container.name, dnsLabelRule));
  if (!container.image) errors.push(fieldRequired(`${at}.image`));
  else if (container.image !== container.image.trim()) {
    errors.push(fieldInvalid(`${at}.image`, container.image, 'must not have leading or trailing whitespace'));
  }
  errors.push(...validatePorts(container, at));
  container.env?.forEach((variable, i) => {
    errors.push(...validateEnvVar(variable, `${at}.env[${i}]`));
  });
  container.envFrom?.forEach((source, i) => {
    const path = `${at}.envFrom[${i}]`;
    const count = Number(source.configMapRef !== undefined) + Number(source.secretRef !== undefined);
    if (count !== 1) errors.push(fieldInvalid(path, '', 'must specify exactly one of: `configMapRef` or `secretRef`'));
    for (const ref of ['configMapRef', 'secretRef'] as const) {
      if (source[ref] && !source[ref].name) errors.push(fieldRequired(`${path}.${ref}.name`));
    }
  });
  errors.push(...validateResources(container.resources, `${at}.resources`));
  const paths = new Set<string>();
  container.volumeMounts?.forEach((mount, i) => {
    const path = `${at}.volumeMounts[${i}]`;
    if (!volumes.has(mount.name)) {
      errors.push({ field: `${path}.name`, reason: 'FieldValueInvalid', message: `Not found: "${mount.name}"` });
    }
    if (paths.has(mount.mountPath)) errors.push(fieldInvalid(`${path}.mountPath`, mount.mountPath, 'must be unique'));
    paths.add(mount.mountPath);
    errors.push(...validateSubPaths(mount, path));
  });
  for (const name of ['livenessProbe', 'readinessProbe', 'startupProbe'] as const) {
    const probe = container[name];
    if (probe) errors.push(...validateProbe(probe, `${at}.${name}`, name !== 'readinessProbe'));
  }
  for (const hook of ['postStart', 'preStop'] as const) {
    const handler = container.lifecycle?.[hook];
    if (handler)
      errors.push(...validateHandler(handler, `${at}.lifecycle.${hook}`, ['exec', 'httpGet', 'tcpSocket', 'sleep']));
  }
  return errors;
}

/** What only some containers may have: an init container runs to its end unless it is a sidecar. */
function validateRole(container: Container, at: string, isInit: boolean): FieldError[] {
  const { restartPolicy } = container;
  if (!isInit) {
    if (restartPolicy === undefined) return [];
    return [fieldForbidden(`${at}.restartPolicy`, 'may not be set for non-init containers')];
  }
  if (restartPolicy === 'Always') return [];
  const errors =
    restartPolicy === undefined ? [] : [fieldNotSupported(`${at}.restartPolicy`, restartPolicy, ['Always'])];
  const remedy = 'may not be set for init containers without restartPolicy=Always';
  for (const field of ['lifecycle', 'livenessProbe', 'readinessProbe', 'startupProbe'] as const) {
    if (container[field]) errors.push(fieldForbidden(`${at}.${field}`, remedy));
  }
  return errors;
}

function validatePorts(container: Container, at: string): FieldError[] {
  const errors: FieldError[] = [];
  const names = new Set<string>();
  container.ports?.forEach((port, i) => {
    const path = `${at}.ports[${i}]`;
    if (!isPortNumber(port.containerPort))
      errors.push(fieldInvalid(`${path}.containerPort`, port.containerPort, portRule));
    if (port.hostPort !== undefined && port.hostPort !== 0 && !isPortNumber(port.hostPort)) {
      errors.push(fieldInvalid(`${path}.hostPort`, port.hostPort, portRule));
    }
    if (!port.name) return;
    if (!isPortName(port.name)) errors.push(fieldInvalid(`${path}.name`, port.name, portNameRule));
    if (names.has(port.name)) errors.push(fieldDuplicate(`${path}.name`, port.name));
    names.add(port.name);
  });
  return errors;
}

function validateEnvVar(variable: EnvVar, at: string): FieldError[] {
  const errors: FieldError[] = [];
  if (!variable.name) errors.push(fieldRequired(`${at}.name`));
  else if (!isEnvVarName(variable.name)) {
    const remedy = "a valid environment variable name must consist only of printable ASCII characters other than '='";
    errors.push(fieldInvalid(`${at}.name`, variable.name, remedy));
  }
  const source = variable.valueFrom;
  if (!source) return errors;
  const kinds = Object.keys(source);
  if (variable.value) {
    errors.push(fieldInvalid(`${at}.valueFrom`, '', 'may not be specified when `value` is not empty'));
  }
  if (kinds.length !== 1) errors.push(fieldInvalid(`${at}.valueFrom`, kinds, 'must specify exactly one source'));
  for (const kind of ['configMapKeyRef', 'secretKeyRef'] as const) {
    const ref = source[kind];
    if (ref && !ref.name) errors.push(fieldRequired(`${at}.valueFrom.${kind}.name`));
  }
  if (source.fieldRef && !isFieldPath(source.fieldRef.fieldPath)) {
    errors.push(fieldNotSupported(`${at}.valueFrom.fieldRef.fieldPath`, source.fieldRef.fieldPath, fieldPaths));
  }
  return errors;
}

const fieldPaths = [
  'metadata.name',
  'metadata.namespace',
  'metadata.uid',
  'spec.nodeName',
  'spec.serviceAccountName',
  'status.hostIP',
  'status.hostIPs',
  'status.podIP',
  'status.podIPs',
] as const;

const isFieldPath = (path: string) =>
  (fieldPaths as readonly string[]).includes(path) || /^metadata\.(labels|annotations)\['[^']+'\]$/.test(path);

/** Each quantity is one, not negative, and no request is above its limit. */
function validateResources(resources: ResourceRequirements | undefined, at: string): FieldError[] {
  const errors: FieldError[] = [];
  for (const list of ['limits', 'requests'] as const) {
    for (const [name, quantity] of Object.entries(resources?.[list] ?? {})) {
      const value = parseQuantity(quantity);
      const path = `${at}.${list}[${name}]`;
      if (value === undefined) errors.push(fieldInvalid(path, quantity, quantityRule));
      else if (value < 0) errors.push(fieldInvalid(path, quantity, 'must be greater than or equal to 0'));
      const limit = resources?.limits?.[name];
      if (list === 'requests' && limit !== undefined && (value ?? 0) > (parseQuantity(limit) ?? 0)) {
        errors.push(fieldInvalid(path, quantity, `must be less than or equal to ${name} limit of ${limit}`));
      }
    }
  }
  return errors;
}

function validateProbe(probe: Probe, at: string, mustSucceedOnce: boolean): FieldError[] {
  const errors = validateHandler(probe, at, ['exec', 'httpGet', 'tcpSocket', 'grpc']);
  for (const field of [
    'initialDelaySeconds',
    'timeoutSeconds',
    'periodSeconds',
    'successThreshold',
    'failureThreshold',
  ] as const) {
    const value = probe[field];
    if (value !== undefined && value < 0) {
      errors.push(fieldInvalid(`${at}.${field}`, value, 'must be greater than or equal to 0'));
    }
  }
  if (mustSucceedOnce && (probe.successThreshold ?? 1) !== 1) {
    errors.push(fieldInvalid(`${at}.successThreshold`, probe.successThreshold, 'must be 1'));
  }
  return errors;
}

function validateHandler(
  handler: ProbeHandler & { sleep?: { seconds: number } },
  at: string,
  allowed: readonly ('exec' | 'httpGet' | 'tcpSocket' | 'grpc' | 'sleep')[],
): FieldError[] {
  const given = allowed.filter((name) => handler[name] !== undefined);
  if (given.length === 0) return [fieldRequired(at, 'must specify a handler type')];
  const errors: FieldError[] = [];
  for (const extra of given.slice(1)) {
    errors.push(fieldForbidden(`${at}.${extra}`, 'may not specify more than 1 handler type'));
  }
  if (handler.sleep && handler.sleep.seconds < 0) {
    errors.push(fieldInvalid(`${at}.sleep.seconds`, handler.sleep.seconds, 'must be non-negative'));
  }
  if (handler.exec && !handler.exec.command?.length) errors.push(fieldRequired(`${at}.exec.command`));
  if (handler.httpGet) errors.push(...validateTargetPort(handler.httpGet.port, `${at}.httpGet.port`));
  if (handler.tcpSocket) errors.push(...validateTargetPort(handler.tcpSocket.port, `${at}.tcpSocket.port`));
  if (handler.grpc && !isPortNumber(handler.grpc.port)) {
    errors.push(fieldInvalid(`${at}.grpc.port`, handler.grpc.port, portRule));
  }
  if (handler.httpGet?.path !== undefined && !handler.httpGet.path.startsWith('/') && handler.httpGet.path !== '') {
    errors.push(fieldInvalid(`${at}.httpGet.path`, handler.httpGet.path, "must begin with '/'"));
  }
  return errors;
}

const isPortNumber = (port: unknown): boolean => Number.isInteger(port) && Number(port) >= 1 && Number(port) <= 65535;
export const portRule = 'must be between 1 and 65535, inclusive';
const portNameRule =
  "must contain only lower-case alphanumeric characters (a-z, 0-9), and hyphens ('-'), at least one letter, at most 15";

/** A port by number or by name. */
export function validateTargetPort(port: number | string | undefined, at: string): FieldError[] {
  if (port === undefined) return [fieldRequired(at)];
  if (typeof port === 'number') return isPortNumber(port) ? [] : [fieldInvalid(at, port, portRule)];
  return isPortName(port) ? [] : [fieldInvalid(at, port, portNameRule)];
}
