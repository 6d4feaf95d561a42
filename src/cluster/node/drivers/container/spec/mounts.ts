import { posix } from 'node:path';
import type { Container } from '../../../../../api/core/pod-spec.ts';
import { type Mount, StartError } from '../../../driver.ts';
import type { OciMount } from './oci.ts';

export interface MountsOptions {
  container: Container;
  /** Volumes, and the files that the node gives each container (/etc/hosts, /etc/resolv.conf …). */
  mounts: readonly Mount[];
  /** A tmpfs of the pod, in which its containers share memory; each has one of its own where there is none. */
  sharedMemoryPath: string | undefined;
  isPrivileged: boolean;
  /** The pod is in the machine's network: a user namespace may not show /sys of it, only what is mounted already. */
  hasHostNetwork: boolean;
  isUserMapped: boolean;
  /** Whether there are control groups at all for this container to see. */
  hasCgroups: boolean;
}

/**
 * What is mounted in a container, in this order: what every one has (as containerd's), but for what a volume replaces,
 * then the rest, outer folders first. A path of the container is resolved by the OCI runtime within the container's
 * root (links in an image lead nowhere else); a source is a path of the host, which its owner has made sure of.
 */
export function mountsOf(options: MountsOptions): OciMount[] {
  const { container, mounts, sharedMemoryPath } = options;
  const given = mounts.map((mount) => ({ ...mount, path: targetOf(mount, container) }));
  if (sharedMemoryPath !== undefined && !given.some(({ path }) => path === '/dev/shm')) {
    given.push({ source: sharedMemoryPath, path: '/dev/shm', isReadOnly: false });
  }
  const replaced = new Set(given.map(({ path }) => path));
  const isHidden = (path: string) => replaced.has(path) || (replaced.has('/dev') && path.startsWith('/dev/'));
  const depth = (path: string) => path.split('/').length;
  return [
    ...everywhere(options).filter(({ destination }) => !isHidden(destination)),
    // The sort is stable: of two at one depth the later one is the later one.
    ...given.sort((a, b) => depth(a.path) - depth(b.path)).map((mount) => bind(mount, container)),
  ];
}

function everywhere({ isPrivileged, hasHostNetwork, isUserMapped, hasCgroups }: MountsOptions): OciMount[] {
  const quiet = ['nosuid', 'noexec', 'nodev'];
  const access = isPrivileged ? 'rw' : 'ro';
  const sys: OciMount =
    isUserMapped && hasHostNetwork
      ? { destination: '/sys', type: 'bind', source: '/sys', options: ['rbind', ...quiet, 'ro'] }
      : { destination: '/sys', type: 'sysfs', source: 'sysfs', options: [...quiet, access] };
  const devpts = ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'];
  const mounts: OciMount[] = [
    { destination: '/proc', type: 'proc', source: 'proc', options: quiet },
    {
      destination: '/dev',
      type: 'tmpfs',
      source: 'tmpfs',
      options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
    },
    { destination: '/dev/pts', type: 'devpts', source: 'devpts', options: devpts },
    { destination: '/dev/shm', type: 'tmpfs', source: 'shm', options: [...quiet, 'mode=1777', 'size=65536k'] },
    { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: quiet },
    sys,
  ];
  if (hasCgroups) {
    const options = [...quiet, 'relatime', access];
    mounts.push({ destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options });
  }
  return mounts;
}

function bind(mount: Mount, container: Container): OciMount {
  const { source, path, isReadOnly } = mount;
  const { mountPropagation, recursiveReadOnly } =
    container.volumeMounts?.find(({ mountPath }) => absolute(mountPath) === path) ?? {};
  const options = ['rbind'];
  if (mountPropagation === 'Bidirectional') {
    throw refused(`mountPropagation of ${path} is Bidirectional: a container of this node mounts nothing for the host`);
  }
  options.push(mountPropagation === 'HostToContainer' ? 'rslave' : 'rprivate');
  const isRecursive = recursiveReadOnly === 'Enabled' || recursiveReadOnly === 'IfPossible';
  options.push(!isReadOnly ? 'rw' : isRecursive ? 'rro' : 'ro');
  return { destination: path, type: 'bind', source, options };
}

function targetOf({ path }: Mount, container: Container): string {
  const target = absolute(path);
  if (path.includes('\0') || path.length > 4096) throw refused(`no path can be ${JSON.stringify(path.slice(0, 100))}`);
  if (target === '/') throw refused(`a volume of the container ${container.name} cannot be mounted at /`);
  // The runtime itself refuses most of these, in words that name no field.
  if (/^\/proc(\/|$)/.test(target))
    throw refused(`nothing can be mounted at ${target}: what is in /proc is the kernel's`);
  return target;
}

/** Within the container: `..` leads no further than its root. */
const absolute = (path: string) => posix.join('/', path).replace(/(.)\/$/, '$1');

const refused = (why: string) => new StartError('CreateContainerError', why);
