import {
  type FieldError,
  fieldDuplicate,
  fieldForbidden,
  fieldInvalid,
  fieldNotSupported,
  fieldRequired,
} from '../field-error.ts';
import { eachContainer } from './each-container.ts';
import type { PodSpec } from './pod-spec.ts';
import type { PodSecurityContext, SecurityContext, SecurityProfile } from './security-context.ts';
import { validateHostProcess, validateWindowsOptions, validateWindowsPod } from './windows-validation.ts';

/** What a pod says of its rights must make sense, as in Kubernetes' pkg/apis/core/validation. */
export function validateSecurity(spec: PodSpec, at: string): FieldError[] {
  const { securityContext } = spec;
  const usesHostUsers = spec.hostUsers ?? true;
  return [
    ...eachContainer(spec, at, (container, path) =>
      validateContainerContext(container.securityContext, `${path}.securityContext`, usesHostUsers),
    ),
    ...validateHostPorts(spec, at),
    ...(securityContext ? validatePodContext(securityContext, spec, `${at}.securityContext`) : []),
    ...validateHostProcess(spec, at),
    ...(usesHostUsers ? [] : validateUserNamespace(spec, at)),
    ...validateSystem(spec, at),
  ];
}

function validateContainerContext(context: SecurityContext | undefined, at: string, usesHostUsers: boolean) {
  if (!context) return [];
  const { allowPrivilegeEscalation, capabilities, privileged, procMount } = context;
  const errors = [...validateIds(context, at)];
  if (procMount !== undefined) {
    errors.push(...oneOf(procMount, procMounts, `${at}.procMount`));
    if (usesHostUsers && procMount === 'Unmasked') {
      errors.push(fieldInvalid(`${at}.procMount`, procMount, '`hostUsers` must be false to use `Unmasked`'));
    }
  }
  errors.push(...validateSeccomp(context.seccompProfile, `${at}.seccompProfile`));
  if (allowPrivilegeEscalation === false) {
    const cannot = 'cannot set `allowPrivilegeEscalation` to false and';
    if (privileged) errors.push(fieldInvalid(at, context, `${cannot} \`privileged\` to true`));
    if (capabilities?.add?.includes('CAP_SYS_ADMIN')) {
      errors.push(fieldInvalid(at, context, `${cannot} \`capabilities.Add\` CAP_SYS_ADMIN`));
    }
  }
  errors.push(...validateWindowsOptions(context.windowsOptions, `${at}.windowsOptions`));
  errors.push(...validateAppArmor(context.appArmorProfile, `${at}.appArmorProfile`));
  return errors;
}

const procMounts = ['Default', 'Unmasked'];

function validatePodContext(context: PodSecurityContext, spec: PodSpec, at: string): FieldError[] {
  const { fsGroup, fsGroupChangePolicy, seLinuxChangePolicy, supplementalGroups, supplementalGroupsPolicy } = context;
  const errors = [...validateId(fsGroup, `${at}.fsGroup`), ...validateIds(context, at)];
  supplementalGroups?.forEach((group, i) => {
    errors.push(...validateId(group, `${at}.supplementalGroups[${i}]`));
  });
  if (spec.shareProcessNamespace && spec.hostPID) {
    const remedy = 'ShareProcessNamespace and HostPID cannot both be enabled';
    errors.push(fieldInvalid(`${at}.shareProcessNamespace`, true, remedy));
  }
  return [
    ...errors,
    ...validateSysctls(context, spec, `${at}.sysctls`),
    ...oneOf(fsGroupChangePolicy, ['Always', 'OnRootMismatch'], `${at}.fsGroupChangePolicy`),
    ...validateSeccomp(context.seccompProfile, `${at}.seccompProfile`),
    ...validateWindowsOptions(context.windowsOptions, `${at}.windowsOptions`),
    ...validateAppArmor(context.appArmorProfile, `${at}.appArmorProfile`),
    ...oneOf(supplementalGroupsPolicy, ['Merge', 'Strict'], `${at}.supplementalGroupsPolicy`),
    ...oneOf(seLinuxChangePolicy, ['MountOption', 'Recursive'], `${at}.seLinuxChangePolicy`),
  ];
}

const oneOf = (value: string | undefined, supported: readonly string[], at: string): FieldError[] =>
  value === undefined || supported.includes(value) ? [] : [fieldNotSupported(at, value, supported)];

const validateIds = ({ runAsUser, runAsGroup }: SecurityContext | PodSecurityContext, at: string): FieldError[] => [
  ...validateId(runAsUser, `${at}.runAsUser`),
  ...validateId(runAsGroup, `${at}.runAsGroup`),
];

const idMax = 2 ** 31 - 1;

/** The id of a user or group. */
function validateId(id: number | undefined, at: string): FieldError[] {
  if (id === undefined || (id >= 0 && id <= idMax)) return [];
  return [fieldInvalid(at, id, `must be between 0 and ${idMax}, inclusive`)];
}

const profileTypes = ['Localhost', 'RuntimeDefault', 'Unconfined'];

function validateSeccomp(profile: SecurityProfile | undefined, at: string): FieldError[] {
  if (!profile) return [];
  const { localhostProfile, type } = profile;
  const errors = validateProfileType(type, at, 'seccompProfile');
  const path = `${at}.localhostProfile`;
  if (type !== 'Localhost') {
    if (localhostProfile === undefined) return errors;
    return [...errors, fieldInvalid(path, profile, 'can only be set when seccomp type is Localhost')];
  }
  if (localhostProfile === undefined) return [fieldRequired(path, 'must be set when seccomp type is Localhost')];
  if (localhostProfile.startsWith('/')) errors.push(fieldInvalid(path, localhostProfile, 'must be a relative path'));
  if (localhostProfile.split('/').includes('..')) {
    errors.push(fieldInvalid(path, localhostProfile, "must not contain '..'"));
  }
  return errors;
}

/** PATH_MAX - 1. */
const profileLengthMax = 4095;

function validateAppArmor(profile: SecurityProfile | undefined, at: string): FieldError[] {
  if (!profile) return [];
  const { localhostProfile, type } = profile;
  const path = `${at}.localhostProfile`;
  if (type !== 'Localhost') {
    const errors = validateProfileType(type, at, 'appArmorProfile');
    if (errors.length > 0 || localhostProfile === undefined) return errors;
    return [fieldInvalid(path, localhostProfile, 'can only be set when AppArmor type is Localhost')];
  }
  if (localhostProfile === undefined) return [fieldRequired(path, 'must be set when AppArmor type is Localhost')];
  const errors: FieldError[] = [];
  if (localhostProfile.trim() !== localhostProfile) {
    errors.push(fieldInvalid(path, localhostProfile, 'must not be padded with whitespace'));
  } else if (localhostProfile === '') {
    errors.push(fieldRequired(path, 'must be set when AppArmor type is Localhost'));
  }
  if (Buffer.byteLength(localhostProfile) > profileLengthMax) {
    const message = `Too long: may not be more than ${profileLengthMax} bytes`;
    errors.push({ field: path, reason: 'FieldValueInvalid', message });
  }
  return errors;
}

function validateProfileType(type: string | undefined, at: string, field: string): FieldError[] {
  if (type) return oneOf(type, profileTypes, `${at}.type`);
  return [fieldRequired(`${at}.type`, `type is required when ${field} is set`)];
}

const sysctlLengthMax = 253;
const sysctlPattern = String.raw`^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$`;
const sysctlName = new RegExp(sysctlPattern);

function validateSysctls({ sysctls = [] }: PodSecurityContext, spec: PodSpec, at: string): FieldError[] {
  const names = new Set<string>();
  return sysctls.flatMap(({ name }, i) => {
    const path = `${at}[${i}].name`;
    const errors: FieldError[] = [];
    const rule = `must have at most ${sysctlLengthMax} characters and match regex ${sysctlPattern}`;
    if (!name) errors.push(fieldRequired(path));
    else if (name.length > sysctlLengthMax || !sysctlName.test(name)) errors.push(fieldInvalid(path, name, rule));
    else if (names.has(name)) errors.push(fieldDuplicate(path, name));
    names.add(name);
    const namespace = sysctlNamespace(name);
    for (const [field, isShared, own] of [
      ['hostNetwork', spec.hostNetwork, 'net'],
      ['hostIPC', spec.hostIPC, 'ipc'],
    ] as const) {
      if (!isShared || namespace !== own) continue;
      errors.push(fieldInvalid(path, name, `may not be specified when '${field}' is true`));
    }
    return errors;
  });
}

const ipcSysctls = /^(kernel\.(sem|shm|shmall|shmmax|shmmni|shm_rmid_forced|msg|msgmax|msgmnb|msgmni)$|fs\.mqueue\.)/;

/** The kernel's namespace that a sysctl, with dots or slashes between its parts, belongs to. */
export function sysctlNamespace(name: string): 'net' | 'ipc' | undefined {
  const dotted = normalSysctl(name);
  if (dotted.startsWith('net.')) return 'net';
  return ipcSysctls.test(dotted) ? 'ipc' : undefined;
}

/** A sysctl's name with dots; the first separator says which one the name is written with (sysctl.d(5)). */
export function normalSysctl(name: string): string {
  const first = /[./]/.exec(name)?.[0];
  return first === '/' ? name.replace(/[./]/g, (separator) => (separator === '/' ? '.' : '/')) : name;
}

/** In the host's network a container's port is the host's. */
function validateHostPorts(spec: PodSpec, at: string): FieldError[] {
  if (!spec.hostNetwork) return [];
  return (spec.containers ?? []).flatMap(({ ports = [] }, i) =>
    ports.flatMap(({ containerPort, hostPort = 0 }, j) => {
      if (hostPort === 0 || hostPort === containerPort) return [];
      const path = `${at}.containers[${i}].ports[${j}].hostPort`;
      return [fieldInvalid(path, hostPort, 'must match `containerPort` when `hostNetwork` is true')];
    }),
  );
}

/** A pod with users of its own cannot have other namespaces of the host, nor devices that know no such users. */
function validateUserNamespace(spec: PodSpec, at: string): FieldError[] {
  const remedy = 'when `hostUsers` is false';
  const errors: FieldError[] = [];
  if (spec.hostNetwork) errors.push(fieldForbidden(`${at}.hostNetwork`, remedy));
  if (spec.hostPID) errors.push(fieldForbidden(`${at}.HostPID`, remedy));
  if (spec.hostIPC) errors.push(fieldForbidden(`${at}.HostIPC`, remedy));
  const devices = eachContainer(spec, at, ({ volumeDevices = [] }, path) =>
    volumeDevices.length > 0 ? [fieldForbidden(`${path}.volumeDevices`, remedy)] : [],
  );
  return [...errors, ...devices];
}

/** What a pod says that is for one operating system only. */
function validateSystem(spec: PodSpec, at: string): FieldError[] {
  if (!spec.os) return [];
  const { name } = spec.os;
  if (!name) return [fieldRequired(`${at}.os.name`)];
  if (name === 'windows') return validateWindowsPod(spec, at);
  if (name !== 'linux') return [fieldNotSupported(`${at}.os`, name, ['linux', 'windows'])];
  const why = 'windows options cannot be set for a linux pod';
  const ofPod = spec.securityContext?.windowsOptions
    ? [fieldForbidden(`${at}.securityContext.windowsOptions`, why)]
    : [];
  const ofContainers = eachContainer(spec, at, ({ securityContext }, path) =>
    securityContext?.windowsOptions ? [fieldForbidden(`${path}.securityContext.windowsOptions`, why)] : [],
  );
  return [...ofPod, ...ofContainers];
}
