import { messageOf } from '../../../../../lib/errors.ts';
import { Cgroups, type CgroupsOptions } from './cgroups.ts';
import { findHierarchy } from './hierarchy.ts';

/** The control groups of a node on this machine, or why there are none: a sentence for `doctor` and the log. */
export function openCgroups(options: Omit<CgroupsOptions, 'hierarchy'>): { cgroups: Cgroups } | { missing: string } {
  const found = findHierarchy();
  if ('missing' in found) return found;
  const cgroups = new Cgroups({ ...options, hierarchy: found.hierarchy });
  try {
    cgroups.open();
  } catch (error) {
    return { missing: `no control groups can be made below ${found.hierarchy.base}: ${messageOf(error)}` };
  }
  return { cgroups };
}
