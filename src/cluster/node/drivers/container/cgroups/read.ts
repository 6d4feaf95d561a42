import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ContainerStats } from '../../../driver.ts';
import type { Controller, Hierarchy } from './hierarchy.ts';

/** What the group at `path` uses, with all below it; undefined when it is not there, or the kernel does not count. */
export function statsOf(hierarchy: Hierarchy, path: string): ContainerStats | undefined {
  const at = folderIn(hierarchy, path);
  const isV1 = hierarchy.version === 1;
  const cpuUsageNs = isV1
    ? readNumber(at('cpuacct'), 'cpuacct.usage')
    : times(1000, readNumber(at('cpu'), 'cpu.stat', 'usage_usec'));
  const memoryUsageBytes = readNumber(at('memory'), isV1 ? 'memory.usage_in_bytes' : 'memory.current');
  const inactive = readNumber(at('memory'), 'memory.stat', isV1 ? 'total_inactive_file' : 'inactive_file');
  const pids = readNumber(at('pids'), 'pids.current');
  if (cpuUsageNs === undefined || memoryUsageBytes === undefined) return undefined;
  // As the kubelet computes it: what was read from files and not lately used can be freed at once.
  const memoryWorkingSetBytes = Math.max(0, memoryUsageBytes - (inactive ?? 0));
  return { cpuUsageNs, memoryUsageBytes, memoryWorkingSetBytes, pids: pids ?? 0 };
}

/** Of the group alone under v1, of all below it, too, under v2. */
export function outOfMemoryKills(hierarchy: Hierarchy, path: string): number {
  const file = hierarchy.version === 1 ? 'memory.oom_control' : 'memory.events';
  return readNumber(folderIn(hierarchy, path)('memory'), file, 'oom_kill') ?? 0;
}

const folderIn = (hierarchy: Hierarchy, path: string) => (controller: Controller) => {
  const tree = hierarchy.mounts[controller];
  return tree === undefined ? undefined : join(tree, path);
};

/** The text of a file of a group; undefined when there is none. */
export function readText(folder: string | undefined, file: string): string | undefined {
  if (folder === undefined) return undefined;
  try {
    return readFileSync(join(folder, file), 'latin1');
  } catch {
    return undefined; // The group is gone, or its controller is not there.
  }
}

/** A file's only number, or the one on the line that begins with `key`. */
export function readNumber(folder: string | undefined, file: string, key?: string): number | undefined {
  const text = readText(folder, file);
  const word = key === undefined ? text?.trim() : text?.match(new RegExp(`^${key} (\\d+)$`, 'm'))?.[1];
  return word !== undefined && /^\d+$/.test(word) ? Number(word) : undefined;
}

const times = (factor: number, value: number | undefined) => (value === undefined ? undefined : value * factor);
