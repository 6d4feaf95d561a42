import { readFileSync } from 'node:fs';
import { findProgram } from '../../../../lib/system-programs.ts';
import { findHierarchy } from './cgroups/hierarchy.ts';
import { findRuntime } from './oci-runtime.ts';

/** What hinders containers on this machine. */
export interface Lack {
  /** A sentence. */
  what: string;
  /** The package that has it, by what the system calls itself; where a package is not all, what else to do. */
  remedy: string;
}

type Family = 'debian' | 'fedora' | 'arch' | 'alpine';

/** The programs of the system that containers need, and the packages that have them. */
const programs: Readonly<Record<string, Readonly<Record<Family, string>>>> = {
  ...Object.fromEntries(
    ['unshare', 'nsenter', 'mount', 'umount', 'script'].map((name) => [name, everywhere('util-linux')]),
  ),
  stty: everywhere('coreutils'),
  tar: everywhere('tar'),
  ip: { ...everywhere('iproute2'), fedora: 'iproute' },
  nft: everywhere('nftables'),
};
const runtimePackage = everywhere('runc');

const install: Readonly<Record<Family, string>> = {
  debian: 'apt-get install -y',
  fedora: 'dnf install -y',
  arch: 'pacman -S --needed',
  alpine: 'apk add',
};

/** CAP_SYS_ADMIN and CAP_NET_ADMIN: root in a container of somebody else has them not. */
const capabilitiesNeeded = (1n << 21n) | (1n << 12n);

/** Why this machine runs no containers; undefined when it does. What is missing is named together, with one command. */
export function missingForContainers(): Lack | undefined {
  if (process.platform !== 'linux') {
    return { what: `containers need Linux, and this is ${process.platform}`, remedy: 'pods run as processes here' };
  }
  if (process.geteuid?.() !== 0) {
    return { what: 'containers need root', remedy: "start the platform as root, with 'sudo'" };
  }
  if (isOfUserNamespace(readText('/proc/self/uid_map'))) {
    const what = 'containers need root of the machine, and this is root of a user namespace';
    return { what, remedy: 'start the platform outside of it (of a rootless Docker or Podman, for example)' };
  }
  const family = familyOf(readText('/etc/os-release'));
  const absent = Object.keys(programs).filter((name) => findProgram(name) === undefined);
  const lack = lackOf(absent, findRuntime() !== undefined, family);
  if (lack) return lack;
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(readText('/proc/self/status'))?.[1] ?? '0'}`);
  if ((effective & capabilitiesNeeded) !== capabilitiesNeeded) {
    const what = 'containers need the capabilities CAP_SYS_ADMIN and CAP_NET_ADMIN, which this root has not';
    return { what, remedy: 'start the platform outside of a container, or in a privileged one' };
  }
  // The kernel loads a module that is not there yet when it is first asked for.
  const hasOverlay = /\boverlay$/m.test(readText('/proc/filesystems')) || findProgram('modprobe') !== undefined;
  if (!hasOverlay) return { what: 'containers need overlayfs', remedy: 'use a kernel with CONFIG_OVERLAY_FS' };
  const cgroups = findHierarchy();
  if ('missing' in cgroups) {
    return { what: `containers need control groups: ${cgroups.missing}`, remedy: 'mount cgroup2 at /sys/fs/cgroup' };
  }
  return undefined;
}

/** What is said of programs that are absent; undefined when none is. */
export function lackOf(absent: readonly string[], hasRuntime: boolean, family: Family): Lack | undefined {
  if (absent.length === 0 && hasRuntime) return undefined;
  const names = [...(hasRuntime ? [] : ['runc (or crun, or youki)']), ...absent];
  const packages = [
    ...(hasRuntime ? [] : [runtimePackage[family]]),
    ...absent.flatMap((name) => programs[name]?.[family] ?? []),
  ];
  const command = `${install[family]} ${[...new Set(packages)].join(' ')}`;
  return {
    what: `containers need programs that are not here: ${names.join(', ')}`,
    remedy: `install them: ${command}`,
  };
}

/** Whether root is another user outside: it has every capability, and still may not do what containers need. */
export const isOfUserNamespace = (uidMap: string): boolean => !/^(\s*0\s+0\s+4294967295\s*)?$/.test(uidMap);

/** By /etc/os-release; what is none of them is told the command of the most common. */
export function familyOf(osRelease: string): Family {
  const ids = [...osRelease.matchAll(/^(?:ID|ID_LIKE)="?([^"\n]*)"?$/gm)].flatMap(([, value = '']) => value.split(' '));
  if (ids.includes('alpine')) return 'alpine';
  if (ids.includes('arch')) return 'arch';
  return ids.some((id) => id === 'fedora' || id === 'rhel') ? 'fedora' : 'debian';
}

function everywhere(name: string): Record<Family, string> {
  return { debian: name, fedora: name, arch: name, alpine: name };
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // This system has no such file.
  }
}
