import { posix } from 'node:path';
import { int32Max } from '../../lib/int32.ts';
import type { Container, ContainerPort, Probe, Volume } from '../core/pod-spec.ts';
import { type FieldError, fieldForbidden, fieldInvalid, fieldRequired } from '../field-error.ts';
import type { Configuration } from '../kind.ts';
import { dnsSubdomainFaults } from '../names.ts';
import { buildOutputImage } from './names.ts';
import type { RevisionSpec } from './revision.ts';
import { type RevisionDefaults, revisionDefaultsOf } from './revision-defaults.ts';

/** Ports and names that Knative's queue-proxy uses: kept free so that manifests move to a cluster unchanged. */
const reservedPorts = new Set([8008, 8012, 8013, 8022, 9090, 9091]);
const reservedContainerNames = new Set(['queue-proxy']);
const reservedEnv = new Set(['PORT', 'K_SERVICE', 'K_CONFIGURATION', 'K_REVISION']);
const reservedPaths = new Set(['/', '/dev', '/dev/log']);
const portNames = new Set(['h2c', 'http1', '']);

const podFields = new Set([
  'containers',
  'serviceAccountName',
  'volumes',
  'imagePullSecrets',
  'enableServiceLinks',
  'automountServiceAccountToken',
  'containerConcurrency',
  'timeoutSeconds',
  'responseStartTimeoutSeconds',
  'idleTimeoutSeconds',
]);

const containerFields = new Set([
  'name',
  'args',
  'command',
  'env',
  'workingDir',
  'envFrom',
  'image',
  'imagePullPolicy',
  'livenessProbe',
  'ports',
  'readinessProbe',
  'resources',
  'securityContext',
  'startupProbe',
  'terminationMessagePath',
  'terminationMessagePolicy',
  'volumeMounts',
]);

/** Knative's rules for what a revision runs; with a build, the image of the serving container is the build's. */
export function validateRevisionSpec(
  spec: RevisionSpec,
  path: string,
  options: { hasBuild: boolean; config: Configuration },
): FieldError[] {
  if (!spec) return [fieldRequired(`${path}.containers`, 'missing field(s)')];
  const containers = spec.containers ?? [];
  return [
    ...onlyFields(spec, podFields, path),
    ...validateBounds(spec, path, revisionDefaultsOf(options.config)),
    ...validateVolumes(spec, path),
    ...(containers.length === 0 ? [fieldRequired(`${path}.containers`, 'missing field(s)')] : []),
    ...validatePortCount(containers, path),
    ...containers.flatMap((container, i) =>
      validateContainer(container, `${path}.containers[${i}]`, {
        isServing: containers.length === 1 || Boolean(container.ports?.length),
        hasBuild: options.hasBuild,
        others: containers.slice(0, i),
        volumes: spec.volumes ?? [],
      }),
    ),
    ...validateServiceAccountName(spec.serviceAccountName, `${path}.serviceAccountName`),
  ];
}

/** Says value, field and rule as Knative does, one after the other: its conformance test looks for that. */
function validateServiceAccountName(name: string | undefined, field: string): FieldError[] {
  if (!name) return [];
  return dnsSubdomainFaults(name).map((fault) => ({
    field,
    reason: 'FieldValueInvalid',
    message: `Invalid value: ${name}: ${field}\n${fault}`,
  }));
}

function validateBounds(spec: RevisionSpec, path: string, defaults: RevisionDefaults): FieldError[] {
  const errors: FieldError[] = [];
  const bounded = (field: keyof RevisionSpec, max: number, min = 0) => {
    const value = spec[field];
    if (typeof value === 'number' && (value < min || value > max)) {
      errors.push(fieldInvalid(`${path}.${field}`, value, `expected ${min} <= ${value} <= ${max}`));
    }
  };
  bounded('timeoutSeconds', defaults.maxTimeoutSeconds);
  bounded('responseStartTimeoutSeconds', spec.timeoutSeconds ?? defaults.maxTimeoutSeconds);
  bounded('idleTimeoutSeconds', spec.timeoutSeconds ?? defaults.maxTimeoutSeconds);
  bounded('containerConcurrency', defaults.maxContainerConcurrency, defaults.isZeroConcurrencyAllowed ? 0 : 1);
  return errors;
}

function validateVolumes(spec: RevisionSpec, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const mounted = new Set((spec.containers ?? []).flatMap((c) => (c.volumeMounts ?? []).map((m) => m.name)));
  const seen = new Set<string>();
  for (const [i, { name }] of (spec.volumes ?? []).entries()) {
    const field = `${path}.volumes[${i}].name`;
    if (seen.has(name)) errors.push(fieldInvalid(field, name, `duplicate volume name "${name}"`));
    if (!mounted.has(name)) errors.push(fieldInvalid(field, name, `volume with name "${name}" not mounted`));
    seen.add(name);
  }
  return errors;
}

/** Requests go to one port of one container. */
function validatePortCount(containers: readonly Container[], path: string): FieldError[] {
  const count = containers.reduce((total, container) => total + (container.ports?.length ?? 0), 0);
  const field = `${path}.containers[*].ports`;
  if (count > 1) {
    return [
      fieldInvalid(
        field,
        count,
        'more than one container port is set: only a single port is allowed across all containers',
      ),
    ];
  }
  return count === 0 && containers.length > 1
    ? [fieldRequired(field, 'missing field(s): with several containers, one must have the port that serves')]
    : [];
}

interface ContainerContext {
  isServing: boolean;
  hasBuild: boolean;
  others: readonly Container[];
  volumes: readonly Volume[];
}

function validateContainer(container: Container, path: string, context: ContainerContext): FieldError[] {
  const { name } = container;
  const errors = onlyFields(container, containerFields, path);
  if (reservedContainerNames.has(name)) {
    errors.push(fieldInvalid(`${path}.name`, name, `"${name}" is a reserved container name`));
  }
  if (context.others.some((other) => other.name === name)) {
    errors.push(fieldInvalid(`${path}.name`, name, `duplicate container name "${name}"`));
  }
  return [
    ...errors,
    ...validateImage(container, path, context),
    ...validateEnv(container, path, context.isServing),
    ...validatePorts(container.ports ?? [], `${path}.ports`),
    ...validateProbes(container, path, context.isServing),
    ...validateMounts(container, path, context.volumes),
    ...validateUser(container, `${path}.securityContext`),
  ];
}

/** As far as Kubernetes, too, counts users. */
function validateUser({ securityContext }: Container, path: string): FieldError[] {
  const { runAsUser } = securityContext ?? {};
  if (runAsUser === undefined || (runAsUser >= 0 && runAsUser <= int32Max)) return [];
  return [fieldInvalid(`${path}.runAsUser`, runAsUser, `expected 0 <= ${runAsUser} <= ${int32Max}`)];
}

function validateImage(container: Container, path: string, context: ContainerContext): FieldError[] {
  const { image } = container;
  const field = `${path}.image`;
  if (context.hasBuild && context.isServing) {
    return image && image !== buildOutputImage
      ? [fieldForbidden(field, `spec.build makes the image: leave it out, or write ${buildOutputImage}`)]
      : [];
  }
  if (image === buildOutputImage) return [fieldInvalid(field, image, 'there is no spec.build that makes this image')];
  if (!image) return [fieldRequired(field, 'missing field(s)')];
  return isImageReference(image) ? [] : [fieldInvalid(field, image, 'Failed to parse image reference')];
}

/** The grammar of the OCI distribution specification, with the short names that clients allow (`nginx`, `a/b:tag`). */
function isImageReference(text: string): boolean {
  const component = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*';
  const host = '(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\\[[0-9a-fA-F:]+\\])(?::\\d+)?';
  const suffix = '(?::[\\w][\\w.-]{0,127})?(?:@[a-z0-9+._-]+:[0-9a-fA-F]{32,})?';
  const pattern = `^(?:${host}/)?${component}(?:/${component})*${suffix}$`;
  return text.length <= 1024 && new RegExp(pattern).test(text);
}

function validateEnv(container: Container, path: string, isServing: boolean): FieldError[] {
  const errors: FieldError[] = [];
  for (const [i, { name }] of (container.env ?? []).entries()) {
    const field = `${path}.env[${i}].name`;
    if (!name) errors.push(fieldRequired(field, 'missing field(s)'));
    else if (reservedEnv.has(name) && (isServing || name !== 'PORT')) {
      errors.push(fieldInvalid(field, name, `"${name}" is a reserved environment variable`));
    }
  }
  for (const [i, source] of (container.envFrom ?? []).entries()) {
    const field = `${path}.envFrom[${i}]`;
    if (source.configMapRef && source.secretRef) {
      errors.push(fieldForbidden(field, 'expected exactly one of configMapRef, secretRef; got both'));
    } else if (!source.configMapRef && !source.secretRef) {
      errors.push(fieldRequired(field, 'expected exactly one of configMapRef, secretRef; got neither'));
    }
  }
  return errors;
}

function validatePorts(ports: readonly ContainerPort[], path: string): FieldError[] {
  const errors: FieldError[] = [];
  for (const [i, port] of ports.entries()) {
    const field = `${path}[${i}]`;
    const number = port.containerPort;
    if (port.hostPort) errors.push(fieldForbidden(`${field}.hostPort`, 'must not set the field(s)'));
    if (port.hostIP) errors.push(fieldForbidden(`${field}.hostIP`, 'must not set the field(s)'));
    if (reservedPorts.has(number)) {
      errors.push(
        fieldInvalid(`${field}.containerPort`, number, `${number} is a reserved port, please use a different value`),
      );
    }
    if (number < 0 || number > 65535) {
      errors.push(fieldInvalid(`${field}.containerPort`, number, `expected 0 <= ${number} <= 65535`));
    }
    if (port.protocol && port.protocol !== 'TCP') {
      errors.push(fieldInvalid(`${field}.protocol`, port.protocol, 'requests come over TCP'));
    }
    if (!portNames.has(port.name ?? '')) {
      errors.push(
        fieldInvalid(
          `${field}.name`,
          port.name,
          `Port name ${port.name} is not allowed: Name must be empty, or one of: 'h2c', 'http1'`,
        ),
      );
    }
  }
  return errors;
}

function validateProbes(container: Container, path: string, isServing: boolean): FieldError[] {
  const errors: FieldError[] = [];
  for (const name of ['livenessProbe', 'readinessProbe', 'startupProbe'] as const) {
    const probe = container[name];
    if (!probe) continue;
    const field = `${path}.${name}`;
    if (!isServing)
      errors.push(fieldForbidden(field, 'must not set the field(s): only the serving container is probed'));
    else errors.push(...validateHandler(probe, container, field));
    if (isServing && name === 'readinessProbe') errors.push(...validateReadinessTimes(probe, field));
  }
  return errors;
}

function validateHandler(probe: Probe, container: Container, path: string): FieldError[] {
  const handlers = (['httpGet', 'tcpSocket', 'exec', 'grpc'] as const).filter((name) => probe[name] !== undefined);
  if (handlers.length === 0) {
    return [fieldRequired(path, 'expected exactly one of httpGet, tcpSocket, exec, grpc; got neither')];
  }
  if (handlers.length > 1) {
    return [fieldForbidden(path, `expected exactly one of httpGet, tcpSocket, exec, grpc; got ${handlers.join(', ')}`)];
  }
  const errors: FieldError[] = [];
  for (const name of ['httpGet', 'tcpSocket'] as const) {
    const port = probe[name]?.port;
    if (typeof port === 'string' && port !== (container.ports?.[0]?.name || 'http')) {
      errors.push(fieldInvalid(`${path}.${name}.port`, port, 'Probe port must match container port'));
    }
  }
  return errors;
}

/** Without a period the platform probes as often as it likes: fields that only a period gives a meaning are refused. */
function validateReadinessTimes(probe: Probe, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const atLeast = (
    field: 'periodSeconds' | 'initialDelaySeconds' | 'successThreshold' | 'timeoutSeconds' | 'failureThreshold',
    min: number,
  ) => {
    const value = probe[field] ?? min;
    if (value < min) errors.push(fieldInvalid(`${path}.${field}`, value, `expected ${min} <= ${value} <= ${int32Max}`));
  };
  atLeast('periodSeconds', 0);
  atLeast('initialDelaySeconds', 0);
  atLeast('successThreshold', 1);
  if (probe.periodSeconds) {
    atLeast('timeoutSeconds', 1);
    atLeast('failureThreshold', 1);
    return errors;
  }
  for (const field of ['failureThreshold', 'timeoutSeconds'] as const) {
    if (probe[field])
      errors.push(fieldForbidden(`${path}.${field}`, `${field} is disallowed when periodSeconds is zero`));
  }
  return errors;
}

function validateMounts(container: Container, path: string, volumes: readonly Volume[]): FieldError[] {
  const errors: FieldError[] = [];
  const seen = new Set<string>();
  for (const [i, mount] of (container.volumeMounts ?? []).entries()) {
    const field = `${path}.volumeMounts[${i}]`;
    if (!volumes.some((volume) => volume.name === mount.name)) {
      errors.push(fieldInvalid(`${field}.name`, mount.name, 'volumeMount has no matching volume'));
    }
    const target = posix.normalize(mount.mountPath ?? '').replace(/(.)\/$/, '$1');
    if (!mount.mountPath) errors.push(fieldRequired(`${field}.mountPath`, 'missing field(s)'));
    else if (reservedPaths.has(target)) {
      errors.push(fieldInvalid(`${field}.mountPath`, mount.mountPath, `mountPath "${target}" is a reserved path`));
    } else if (!target.startsWith('/')) {
      errors.push(fieldInvalid(`${field}.mountPath`, mount.mountPath, 'must be an absolute path'));
    } else if (seen.has(target)) {
      errors.push(fieldInvalid(`${field}.mountPath`, mount.mountPath, `"${mount.mountPath}" must be unique`));
    }
    seen.add(target);
  }
  return errors;
}

function onlyFields(object: object, allowed: ReadonlySet<string>, path: string): FieldError[] {
  return Object.entries(object)
    .filter(([field, value]) => value !== undefined && !allowed.has(field))
    .map(([field]) => fieldForbidden(`${path}.${field}`, 'must not set the field(s): a revision does not support it'));
}
