import type { Pod } from '../../../../../api/core/pod.ts';
import { type ContainerOnNode, type Mount, StartError } from '../../../driver.ts';
import { containerResources, oomScoreAdjOf } from '../cgroups/resources.ts';
import { capabilitiesOf } from './capabilities.ts';
import { checkValues } from './check-values.ts';
import type { NodeMachine } from './machine.ts';
import { mountsOf } from './mounts.ts';
import type { OciDevice, OciIdMapping, OciNamespace, OciProcess, OciResources, OciSeccomp, OciSpec } from './oci.ts';
import { defaultSeccomp } from './seccomp.ts';
import { type Security, securityOf } from './security.ts';
import { sysctlsOf } from './sysctls.ts';
import type { ContainerUser } from './user.ts';

export interface SpecInput {
  pod: Pod;
  container: ContainerOnNode;
  /** The container's root, put together already. */
  rootPath: string;
  /** As `userOf` says it. */
  user: ContainerUser;
  /** The pod's, by the files that keep them; what is not there is the machine's own, but `pid`: one of its own. */
  namespaces: PodNamespaces;
  /** Given to the UTS namespace; undefined in the machine's own. */
  hostname?: string;
  /** As `Cgroups.pathOf` says it; undefined where there are none for us. */
  cgroupsPath: string | undefined;
  /** What the node gives each container: /etc/hosts, /etc/hostname, /etc/resolv.conf. */
  hostFiles: readonly Mount[];
  /** A tmpfs that the pod's containers share as /dev/shm. */
  sharedMemoryPath?: string;
  /** Of the user namespace of the pod (`hostUsers: false`). */
  idMappings?: { uids: OciIdMapping[]; gids: OciIdMapping[] };
  /** Of a `Localhost` seccomp profile, read by `readSeccompProfile`. */
  seccompProfile?: OciSeccomp;
  /** The machine's, for a privileged container (`hostDevices`). */
  devices?: readonly OciDevice[];
  isTerminal: boolean;
  machine: NodeMachine;
}

export interface PodNamespaces {
  network?: string;
  ipc?: string;
  uts?: string;
  /** Of the pod when it shares its processes; `host` for hostPID. */
  pid?: string | 'host';
  user?: string;
}

/**
 * What an OCI runtime is told of a container: what it may do, how much of the machine it may have, what it sees. Pure;
 * throws StartError for what cannot be.
 */
export function runtimeSpec(input: SpecInput): OciSpec {
  const { pod, container, rootPath, machine, namespaces, cgroupsPath, idMappings } = input;
  checkValues(container);
  if (pod.spec.hostUsers === false && !idMappings && !machine.isRootless) {
    // Silently less than what was asked for would be worse than nothing.
    const why = 'a user namespace for the pod, which this node does not make: leave it out';
    throw new StartError('CreateContainerConfigError', `hostUsers: false needs ${why}`);
  }
  const security = securityOf(pod, container.spec);
  const process = processOf(input, security);
  const isUserMapped = idMappings !== undefined || machine.isRootless;
  const sysctl = sysctlsOf(pod, { isUserMapped });
  const seccomp = seccompOf(input, security, process.capabilities.bounding);
  const devices = security.isPrivileged ? [...(input.devices ?? [])] : [];
  const { metadata } = pod;
  return {
    ociVersion: '1.0.2',
    process,
    root: { path: rootPath, readonly: security.isRootReadOnly },
    ...(input.hostname !== undefined && namespaces.uts !== undefined ? { hostname: input.hostname } : {}),
    mounts: mountsOf({
      container: container.spec,
      mounts: withHostFiles(input, security),
      // A pod in the machine's IPC namespace has the machine's memory to share, too.
      sharedMemoryPath: input.sharedMemoryPath ?? (namespaces.ipc === undefined ? '/dev/shm' : undefined),
      isPrivileged: security.isPrivileged,
      hasHostNetwork: namespaces.network === undefined,
      isUserMapped,
      hasCgroups: cgroupsPath !== undefined,
    }),
    linux: {
      namespaces: namespacesOf(input, security),
      ...(idMappings ? { uidMappings: idMappings.uids, gidMappings: idMappings.gids } : {}),
      ...(devices.length > 0 ? { devices } : {}),
      ...(cgroupsPath === undefined ? {} : { cgroupsPath }),
      resources: resourcesOf(input, security),
      ...(Object.keys(sysctl).length > 0 ? { sysctl } : {}),
      ...(seccomp ? { seccomp } : {}),
      ...(hasSlaves(container) ? { rootfsPropagation: 'rslave' } : {}),
      maskedPaths: security.isUnmasked ? [] : [...maskedPaths, ...machine.thermalPaths],
      readonlyPaths: security.isUnmasked ? [] : [...readonlyPaths],
    },
    // As CRI's runtimes say them: tools that look at a container's state know these names.
    annotations: {
      'io.kubernetes.cri.container-type': 'container',
      'io.kubernetes.cri.container-name': container.id.container,
      'io.kubernetes.cri.image-name': container.spec.image ?? '',
      'io.kubernetes.cri.sandbox-name': metadata.name,
      'io.kubernetes.cri.sandbox-namespace': metadata.namespace ?? '',
      'io.kubernetes.cri.sandbox-uid': metadata.uid ?? '',
    },
  };
}

/** What of the kernel no container sees, as Kubernetes has it (`procMount: Default`). */
export const maskedPaths: readonly string[] = [
  ...['acpi', 'asound', 'interrupts', 'kcore', 'keys', 'latency_stats', 'sched_debug', 'scsi'].map(inProc),
  ...['timer_list', 'timer_stats'].map(inProc),
  ...['/sys/devices/virtual/powercap', '/sys/firmware'],
];

export const readonlyPaths: readonly string[] = ['bus', 'fs', 'irq', 'sys', 'sysrq-trigger'].map(inProc);

function inProc(name: string): string {
  return `/proc/${name}`;
}

const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

function processOf(input: SpecInput, security: Security): OciProcess {
  const { pod, container, user, hostname, isTerminal, machine } = input;
  const capabilities = capabilitiesOf(
    {
      isPrivileged: security.isPrivileged,
      add: security.addedCapabilities,
      drop: security.droppedCapabilities,
    },
    machine.capabilities,
  );
  const environment: Record<string, string> = {
    PATH: defaultPath,
    ...(hostname === undefined ? {} : { HOSTNAME: hostname }),
    ...(isTerminal ? { TERM: 'xterm' } : {}),
    ...container.environment,
  };
  return {
    terminal: isTerminal,
    user: { uid: user.uid, gid: user.gid, umask: 0o022, additionalGids: [...user.additionalGids] },
    args: [...container.argv],
    env: Object.entries(environment).map(([name, value]) => `${name}=${value}`),
    cwd: container.workingDir.startsWith('/') ? container.workingDir : `/${container.workingDir}`,
    // A user who is not root gets none of them, unless a file's own say so: ambient ones would outlive setuid.
    capabilities: {
      bounding: capabilities,
      effective: [...capabilities],
      permitted: [...capabilities],
      inheritable: [],
      ambient: [],
    },
    noNewPrivileges: security.hasNoNewPrivileges,
    oomScoreAdj: oomScoreAdjOf(pod, container.spec, machine),
  };
}

function namespacesOf({ namespaces, idMappings, machine }: SpecInput, security: Security): OciNamespace[] {
  const list: OciNamespace[] = [{ type: 'mount' }];
  if (namespaces.pid !== 'host') list.push({ type: 'pid', ...at(namespaces.pid) });
  for (const type of ['network', 'ipc', 'uts'] as const) {
    if (namespaces[type] !== undefined) list.push({ type, path: namespaces[type] });
  }
  if (idMappings) list.push({ type: 'user', ...at(namespaces.user) });
  // Under v1 programs look for their group by the path that the machine knows (as containerd decides it).
  if (machine.cgroupVersion === 2 && !security.isPrivileged) list.push({ type: 'cgroup' });
  return list;
}

const at = (path: string | undefined) => (path === undefined ? {} : { path });

function resourcesOf({ container, cgroupsPath, machine }: SpecInput, security: Security): OciResources {
  const devices = [{ allow: security.isPrivileged, access: 'rwm' }];
  // Without groups of ours nothing can be limited; the list of devices is the kernel's, and no file of ours.
  if (cgroupsPath === undefined) return { devices };
  return { devices, ...containerResources(container.spec.resources, machine) };
}

function seccompOf(
  { seccompProfile, machine }: SpecInput,
  { seccomp }: Security,
  capabilities: readonly string[],
): OciSeccomp | undefined {
  if (seccomp.type === 'Unconfined') return undefined;
  return seccomp.type === 'Localhost' ? seccompProfile : defaultSeccomp(capabilities, machine);
}

/** A volume mounted at one of their paths is what the container sees. */
function withHostFiles({ container, hostFiles }: SpecInput, { isRootReadOnly }: Security): Mount[] {
  const own = new Set(container.mounts.map(({ path }) => path));
  const files = hostFiles.filter(({ path }) => !own.has(path));
  return [...files.map((file) => ({ ...file, isReadOnly: file.isReadOnly || isRootReadOnly })), ...container.mounts];
}

const hasSlaves = ({ spec }: ContainerOnNode) =>
  (spec.volumeMounts ?? []).some(({ mountPropagation }) => mountPropagation === 'HostToContainer');
