import { accessSync, constants, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The controllers that limits and statistics need. */
export const controllers = ['cpu', 'cpuacct', 'memory', 'pids'] as const;
export type Controller = (typeof controllers)[number];

/**
 * Where the machine's control groups are. Version 1 has a tree for each controller; where version 2 is mounted beside
 * it (hybrid) its tree has no controller, only groups of processes.
 */
export interface Hierarchy {
  version: 1 | 2;
  /** Where each controller's tree is mounted; one that is not there does not limit. */
  mounts: Readonly<Partial<Record<Controller, string>>>;
  /** All trees, those without a controller of ours too: an OCI runtime makes a group in each. */
  trees: readonly string[];
  /** The group, as a path within each tree, below which ours are: `/`, or the one that systemd has given to us. */
  base: string;
}

export interface HierarchyFiles {
  /** Of this process: /proc/self/mountinfo and /proc/self/cgroup. */
  mountinfo: string;
  cgroup: string;
  /** Whether we may make groups in that folder. */
  isWritable(folder: string): boolean;
}

/** What this machine has, or why we can have no groups there: a sentence for `doctor` and the log. */
export type FoundHierarchy = { hierarchy: Hierarchy } | { missing: string };

export function findHierarchy(files: HierarchyFiles = ofThisProcess()): FoundHierarchy {
  const mounts = mountsOf(files.mountinfo);
  const unified = mounts.find(({ type }) => type === 'cgroup2');
  const v1 = mounts.filter(({ type }) => type === 'cgroup');
  const mountOf = (name: Controller) => v1.find(({ options }) => options.includes(name))?.mountPoint;
  const found: Partial<Record<Controller, string>> = {};
  for (const name of controllers) {
    const mountPoint = mountOf(name);
    if (mountPoint !== undefined) found[name] = mountPoint;
  }
  if (Object.keys(found).length > 0) {
    const trees = mounts.map(({ mountPoint }) => mountPoint);
    const closed = Object.values(found).find((folder) => !files.isWritable(folder));
    if (closed !== undefined) {
      return { missing: `${closed} cannot be written: version 1 of control groups is for root only` };
    }
    return { hierarchy: { version: 1, mounts: found, trees, base: '/' } };
  }
  if (!unified) return { missing: 'no control groups are mounted at /sys/fs/cgroup' };
  return unifiedHierarchy(unified.mountPoint, files);
}

function unifiedHierarchy(mountPoint: string, files: HierarchyFiles): FoundHierarchy {
  const own = /^0::(\/.*)$/m.exec(files.cgroup)?.[1] ?? '/';
  const mounts = Object.fromEntries(controllers.map((name) => [name, mountPoint]));
  const at = (base: string): FoundHierarchy => ({
    hierarchy: { version: 2, mounts, trees: [mountPoint], base },
  });
  if (files.isWritable(mountPoint)) return at('/');
  // The outermost group that is ours: systemd has delegated it, and our own process can be moved within it.
  let base: string | undefined;
  for (let group = own; group !== '/' && files.isWritable(join(mountPoint, group)); group = dirname(group))
    base = group;
  if (base !== undefined) return at(base);
  return {
    missing:
      `the control group ${own} of this process is not ours to divide: ` +
      'start it with systemd-run --user --scope -p Delegate=yes',
  };
}

interface CgroupMount {
  mountPoint: string;
  type: string;
  options: string[];
}

/** `36 35 0:31 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu` */
function mountsOf(mountinfo: string): CgroupMount[] {
  return mountinfo
    .split('\n')
    .map((line) => line.split(' - '))
    .flatMap(([before = '', after = '']) => {
      const [type = '', , options = ''] = after.split(' ');
      const mountPoint = before.split(' ')[4];
      const isOurs = type === 'cgroup' || type === 'cgroup2';
      return isOurs && mountPoint?.startsWith('/') ? [{ mountPoint, type, options: options.split(',') }] : [];
    });
}

const ofThisProcess = (): HierarchyFiles => ({
  mountinfo: readFileSync('/proc/self/mountinfo', 'utf8'),
  cgroup: readFileSync('/proc/self/cgroup', 'utf8'),
  isWritable(folder) {
    try {
      accessSync(join(folder, 'cgroup.procs'), constants.W_OK);
      accessSync(folder, constants.W_OK);
      return true;
    } catch {
      return false; // Not there, not ours, or mounted read-only: no groups of ours either way.
    }
  },
});
