import type { Container, PodSpec } from '../../../api/core/pod-spec.ts';
import type { SecurityContext } from '../../../api/core/security-context.ts';
import type { LevelVersion } from './levels.ts';

/** What is checked: a pod, or the template of some. */
export interface Checked {
  annotations: Readonly<Record<string, string>>;
  spec: PodSpec;
}

/** What a check has against a pod, in Kubernetes' words. */
export interface Violation {
  reason: string;
  detail: string;
}

/** Why the pod may not have the level; nothing when it may. Baseline's checks come first, each list by name. */
export function violations(checked: Checked, { level, version }: LevelVersion): Violation[] {
  if (level === 'privileged') return [];
  const minor = version === 'latest' ? newest : Math.min(version, newest);
  const ofRestricted = level === 'restricted' ? inForce(restricted, minor) : [];
  const overridden = new Set(ofRestricted.map(({ overrides }) => overrides));
  const ofBaseline = inForce(baseline, minor).filter(({ name }) => !overridden.has(name));
  return [...ofBaseline, ...ofRestricted].flatMap(({ check }) => check(checked, minor) ?? []);
}

/** `hostPort (container "c" uses hostPort 80), …`. */
export const told = (found: readonly Violation[]): string =>
  found.map(({ reason, detail }) => (detail === '' ? reason : `${reason} (${detail})`)).join(', ');

interface Check {
  name: string;
  /** The first release that has it. */
  since: number;
  /** The check of `baseline` that says less. */
  overrides?: string;
  check(checked: Checked, minor: number): Violation | undefined;
}

const newest = 34;
const inForce = (checks: readonly Check[], minor: number) => checks.filter(({ since }) => since <= minor);

const baseline: readonly Check[] = [
  { name: 'appArmorProfile', since: 0, check: checkAppArmor },
  {
    name: 'capabilities_baseline',
    since: 0,
    check({ spec }) {
      const added = offenders(spec, ({ capabilities }) => capabilities?.add?.filter((c) => !isDefaultCapability(c)));
      if (added.names.length === 0) return undefined;
      return violation(
        'non-default capabilities',
        `${containers(added.names)} must not include ${quoted(added.values)} in securityContext.capabilities.add`,
      );
    },
  },
  {
    name: 'hostNamespaces',
    since: 0,
    check({ spec }) {
      const shared = (['hostNetwork', 'hostPID', 'hostIPC'] as const).filter((field) => spec[field]);
      return shared.length === 0
        ? undefined
        : violation('host namespaces', shared.map((field) => `${field}=true`).join(', '));
    },
  },
  {
    name: 'hostPathVolumes',
    since: 0,
    check({ spec }) {
      const names = (spec.volumes ?? []).filter(({ hostPath }) => hostPath).map(({ name }) => name);
      return names.length === 0
        ? undefined
        : violation('hostPath volumes', `${plural('volume', names)} ${quoted(names)}`);
    },
  },
  {
    name: 'hostPorts',
    since: 0,
    check({ spec }) {
      const found = offending(spec, ({ ports = [] }) =>
        ports.flatMap(({ hostPort }) => (hostPort ? `${hostPort}` : [])),
      );
      if (found.names.length === 0) return undefined;
      const ports = `${plural('hostPort', found.values)} ${found.values.join(', ')}`;
      return violation('hostPort', `${containers(found.names)} ${uses(found.names)} ${ports}`);
    },
  },
  {
    name: 'hostProbesAndHostLifecycle',
    since: 34,
    check({ spec }) {
      const found = offending(spec, hostsAsked);
      if (found.names.length === 0) return undefined;
      const names = found.names.toSorted();
      const hosts = `${plural('probe or lifecycle host', found.values)} ${quoted(found.values)}`;
      return violation('probe or lifecycle host', `${containers(names)} ${uses(names)} ${hosts}`);
    },
  },
  {
    name: 'privileged',
    since: 0,
    check({ spec }) {
      const { names } = offenders(spec, ({ privileged }) => (privileged ? [''] : []));
      if (names.length === 0) return undefined;
      return violation('privileged', `${containers(names)} must not set securityContext.privileged=true`);
    },
  },
  {
    name: 'procMount',
    since: 0,
    check({ spec }) {
      const found = offenders(spec, ({ procMount = 'Default' }) => (procMount === 'Default' ? [] : [procMount]));
      if (found.names.length === 0) return undefined;
      const what = `must not set securityContext.procMount to ${quoted(found.values)}`;
      return violation('procMount', `${containers(found.names)} ${what}`);
    },
  },
  { name: 'seLinuxOptions', since: 0, check: checkSeLinux },
  {
    name: 'seccompProfile_baseline',
    since: 0,
    check: (checked, minor) => (minor < 19 ? checkSeccompAnnotations(checked) : checkSeccomp(checked, false)),
  },
  {
    name: 'sysctls',
    since: 0,
    check({ spec }, minor) {
      const allowed = sysctls.filter(({ since }) => since <= minor).flatMap(({ names }) => names);
      const others = (spec.securityContext?.sysctls ?? []).map(({ name }) => name).filter((n) => !allowed.includes(n));
      return others.length === 0 ? undefined : violation('forbidden sysctls', others.join(', '));
    },
  },
  {
    name: 'windowsHostProcess',
    since: 0,
    check({ spec }) {
      const setters = settersOf(spec, ({ windowsOptions }) => windowsOptions?.hostProcess === true);
      if (setters === '') return undefined;
      return violation('hostProcess', `${setters} must not set securityContext.windowsOptions.hostProcess=true`);
    },
  },
];

const restricted: readonly Check[] = [
  {
    name: 'allowPrivilegeEscalation',
    since: 8,
    check({ spec }, minor) {
      if (minor >= 25 && isWindows(spec)) return undefined;
      const names = all(spec)
        .filter(({ securityContext }) => securityContext?.allowPrivilegeEscalation !== false)
        .map(({ name }) => name);
      if (names.length === 0) return undefined;
      const what = 'must set securityContext.allowPrivilegeEscalation=false';
      return violation('allowPrivilegeEscalation != false', `${containers(names)} ${what}`);
    },
  },
  {
    name: 'capabilities_restricted',
    since: 22,
    overrides: 'capabilities_baseline',
    check: ({ spec }, minor) => (minor >= 25 && isWindows(spec) ? undefined : checkDropped(spec)),
  },
  { name: 'restrictedVolumes', since: 0, overrides: 'hostPathVolumes', check: checkVolumes },
  { name: 'runAsNonRoot', since: 0, check: checkNonRoot },
  {
    name: 'runAsUser',
    since: 23,
    check({ spec }) {
      const setters = settersOf(spec, ({ runAsUser }) => runAsUser === 0);
      return setters === '' ? undefined : violation('runAsUser=0', `${setters} must not set runAsUser=0`);
    },
  },
  {
    name: 'seccompProfile_restricted',
    since: 19,
    overrides: 'seccompProfile_baseline',
    check: (checked, minor) => (minor >= 25 && isWindows(checked.spec) ? undefined : checkSeccomp(checked, true)),
  },
];

/** What a container runtime gives by itself: more is not needed to be let go. */
const defaultCapabilities = [
  ...['AUDIT_WRITE', 'CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'FSETID', 'KILL', 'MKNOD', 'NET_BIND_SERVICE', 'SETFCAP'],
  ...['SETGID', 'SETPCAP', 'SETUID', 'SYS_CHROOT'],
];
function isDefaultCapability(name: string): boolean {
  return defaultCapabilities.includes(name);
}

/** Those that concern nobody but the pod, with the release that first says so. */
const sysctls = [
  {
    since: 0,
    names: [
      ...['kernel.shm_rmid_forced', 'net.ipv4.ip_local_port_range', 'net.ipv4.tcp_syncookies'],
      ...['net.ipv4.ping_group_range', 'net.ipv4.ip_unprivileged_port_start'],
    ],
  },
  { since: 27, names: ['net.ipv4.ip_local_reserved_ports'] },
  {
    since: 29,
    names: ['time', 'intvl', 'probes']
      .map((what) => `net.ipv4.tcp_keepalive_${what}`)
      .concat('net.ipv4.tcp_fin_timeout'),
  },
  { since: 32, names: ['net.ipv4.tcp_rmem', 'net.ipv4.tcp_wmem'] },
];

const appArmorAnnotation = 'container.apparmor.security.beta.kubernetes.io/';

function checkAppArmor({ annotations, spec }: Checked): Violation | undefined {
  const isForbidden = (context: SecurityContext) =>
    context.appArmorProfile !== undefined && !['RuntimeDefault', 'Localhost'].includes(context.appArmorProfile.type);
  const values = new Set(
    contexts(spec).flatMap((context) => (isForbidden(context) ? (context.appArmorProfile?.type ?? '') : [])),
  );
  const annotated = Object.entries(annotations)
    .filter(([key, value]) => key.startsWith(appArmorAnnotation) && !/^($|runtime\/default$|localhost\/)/.test(value))
    .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
    .sort();
  const setters = [settersOf(spec, isForbidden), ...(annotated.length > 0 ? [plural('annotation', annotated)] : [])];
  const wrong = setters.filter((setter) => setter !== '').join(' and ');
  if (wrong === '') return undefined;
  const bad = [...[...values].sort(), ...annotated];
  return violation(
    plural('forbidden AppArmor profile', bad),
    `${wrong} must not set AppArmor profile type to ${quoted(bad)}`,
  );
}

const seLinuxTypes = ['', 'container_t', 'container_init_t', 'container_kvm_t'];

function checkSeLinux({ spec }: Checked, minor: number): Violation | undefined {
  const allowed = minor >= 31 ? [...seLinuxTypes, 'container_engine_t'] : seLinuxTypes;
  const isWrongType = ({ seLinuxOptions }: SecurityContext) => !allowed.includes(seLinuxOptions?.type ?? '');
  const sets = (field: 'user' | 'role') => (context: SecurityContext) => Boolean(context.seLinuxOptions?.[field]);
  const setters = settersOf(spec, (c) => isWrongType(c) || sets('user')(c) || sets('role')(c));
  if (setters === '') return undefined;
  const types = [
    ...new Set(
      contexts(spec)
        .filter(isWrongType)
        .map((c) => c.seLinuxOptions?.type ?? ''),
    ),
  ].sort();
  const data = [
    ...(types.length > 0 ? [`${plural('type', types)} ${quoted(types)}`] : []),
    ...(['user', 'role'] as const)
      .filter((field) => contexts(spec).some(sets(field)))
      .map((field) => `${field} may not be set`),
  ];
  return violation('seLinuxOptions', `${setters} set forbidden securityContext.seLinuxOptions: ${data.join('; ')}`);
}

const isConfined = ({ seccompProfile }: SecurityContext) =>
  ['RuntimeDefault', 'Localhost'].includes(seccompProfile?.type ?? '');

/** `isRequired`: a profile must be set. */
function checkSeccomp({ spec }: Checked, isRequired: boolean): Violation | undefined {
  const isForbidden = (context: SecurityContext) => context.seccompProfile !== undefined && !isConfined(context);
  const setters = settersOf(spec, isForbidden);
  if (setters !== '') {
    const values = new Set(
      contexts(spec)
        .filter(isForbidden)
        .map((context) => context.seccompProfile?.type ?? ''),
    );
    const what = `must not set securityContext.seccompProfile.type to ${quoted([...values].sort())}`;
    return violation('seccompProfile', `${setters} ${what}`);
  }
  if (!isRequired || isConfined(spec.securityContext ?? {})) return undefined;
  const names = all(spec).flatMap(({ name, securityContext }) => (securityContext?.seccompProfile ? [] : name));
  if (names.length === 0) return undefined;
  const what = 'must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"';
  return violation('seccompProfile', `pod or ${containers(names)} ${what}`);
}

/** Before there was a field for it. */
function checkSeccompAnnotations({ annotations, spec }: Checked): Violation | undefined {
  const keys = [
    'seccomp.security.alpha.kubernetes.io/pod',
    ...all(spec).map(({ name }) => `container.seccomp.security.alpha.kubernetes.io/${name}`),
  ];
  const wrong = keys
    .flatMap((key) => {
      const value = Object.hasOwn(annotations, key) ? annotations[key] : undefined;
      if (value === undefined || /^(runtime\/default$|docker\/default$|localhost\/)/.test(value)) return [];
      return [`${key}=${JSON.stringify(value)}`];
    })
    .sort();
  if (wrong.length === 0) return undefined;
  return violation('seccompProfile', `forbidden ${plural('annotation', wrong)} ${wrong.join(', ')}`);
}

function checkDropped(spec: PodSpec): Violation | undefined {
  const kept = all(spec)
    .filter(({ securityContext }) => !securityContext?.capabilities?.drop?.includes('ALL'))
    .map(({ name }) => name);
  const added = offenders(spec, ({ capabilities }) => capabilities?.add?.filter((name) => name !== 'NET_BIND_SERVICE'));
  const details: string[] = [];
  if (kept.length > 0) details.push(`${containers(kept)} must set securityContext.capabilities.drop=["ALL"]`);
  if (added.names.length > 0) {
    const what = `must not include ${quoted(added.values)} in securityContext.capabilities.add`;
    details.push(`${containers(added.names)} ${what}`);
  }
  return details.length === 0 ? undefined : violation('unrestricted capabilities', details.join('; '));
}

/** Volumes that lead nowhere but to what the namespace has. */
const allowedVolumes = [
  ...['configMap', 'csi', 'downwardAPI', 'emptyDir', 'ephemeral', 'image', 'persistentVolumeClaim', 'projected'],
  'secret',
];

function checkVolumes({ spec }: Checked): Violation | undefined {
  const others = (spec.volumes ?? []).filter(
    (volume) => !Object.keys(volume).some((key) => allowedVolumes.includes(key)),
  );
  if (others.length === 0) return undefined;
  const names = others.map(({ name }) => name);
  const types = new Set(others.map((volume) => Object.keys(volume).find((key) => key !== 'name') ?? 'unknown'));
  const what = `${plural('restricted volume type', [...types])} ${quoted([...types].sort())}`;
  return violation('restricted volume types', `${plural('volume', names)} ${quoted(names)} ${uses(names)} ${what}`);
}

function checkNonRoot({ spec }: Checked): Violation | undefined {
  const setters = settersOf(spec, ({ runAsNonRoot }) => runAsNonRoot === false);
  const reason = 'runAsNonRoot != true';
  if (setters !== '') return violation(reason, `${setters} must not set securityContext.runAsNonRoot=false`);
  if (spec.securityContext?.runAsNonRoot) return undefined;
  const names = all(spec).flatMap(({ name, securityContext }) => (securityContext?.runAsNonRoot ? [] : name));
  if (names.length === 0) return undefined;
  return violation(reason, `pod or ${containers(names)} must set securityContext.runAsNonRoot=true`);
}

/** Whom probes and hooks ask that is not the pod. */
function hostsAsked({ lifecycle, livenessProbe, readinessProbe, startupProbe }: Container): string[] {
  const handlers = [livenessProbe, readinessProbe, startupProbe, lifecycle?.postStart, lifecycle?.preStop];
  return handlers
    .flatMap((handler) => [handler?.httpGet?.host, handler?.tcpSocket?.host])
    .flatMap((host) => host || []);
}

const violation = (reason: string, detail: string): Violation => ({ reason, detail });

/** In the order in which Kubernetes names them. */
function all(spec: PodSpec): Container[] {
  return [...(spec.initContainers ?? []), ...(spec.containers ?? []), ...(spec.ephemeralContainers ?? [])];
}

const contexts = (spec: PodSpec): SecurityContext[] => [
  spec.securityContext ?? {},
  ...all(spec).map(({ securityContext }) => securityContext ?? {}),
];

const isWindows = (spec: PodSpec) => spec.os?.name === 'windows';

/** The containers in which `find` finds something, and all that it finds, once each. */
function offending(spec: PodSpec, find: (container: Container) => readonly string[] | undefined) {
  const names: string[] = [];
  const values = new Set<string>();
  for (const container of all(spec)) {
    const found = find(container) ?? [];
    if (found.length > 0) names.push(container.name);
    for (const value of found) values.add(value);
  }
  return { names, values: [...values].sort() };
}

const offenders = (spec: PodSpec, find: (context: SecurityContext) => readonly string[] | undefined) =>
  offending(spec, ({ securityContext }) => find(securityContext ?? {}));

/** `pod and containers "a", "b"`; empty when nobody says what is forbidden. */
function settersOf(spec: PodSpec, isForbidden: (context: SecurityContext) => boolean): string {
  const names = all(spec).flatMap(({ name, securityContext }) => (isForbidden(securityContext ?? {}) ? name : []));
  const ofPod = isForbidden(spec.securityContext ?? {}) ? ['pod'] : [];
  return [...ofPod, ...(names.length > 0 ? [containers(names)] : [])].join(' and ');
}

const containers = (names: readonly string[]) => `${plural('container', names)} ${quoted(names)}`;
const plural = (word: string, items: readonly string[]) => (items.length === 1 ? word : `${word}s`);
const uses = (items: readonly string[]) => (items.length === 1 ? 'uses' : 'use');
const quoted = (items: readonly string[]) => items.map((item) => `"${item}"`).join(', ');
