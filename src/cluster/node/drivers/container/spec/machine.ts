import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { release, totalmem } from 'node:os';
import { capabilitiesOfMask } from './capabilities.ts';

/** What a container's specification depends on beside the pod: the kernel, and what of it is ours to give. */
export interface NodeMachine {
  /** As `process.arch` says it. */
  architecture: string;
  /** As `os.release()` says it. */
  kernel: string;
  /** Those that we have, and so all that we can give. */
  capabilities: readonly string[];
  memoryBytes: number;
  /** Ours: without CAP_SYS_RESOURCE no process of ours can have less. */
  oomScoreAdj: number;
  isRootless: boolean;
  /** Of each processor, what tells how hot the machine is, and so what others do on it. */
  thermalPaths: readonly string[];
  /** Undefined where containers cannot be limited. */
  cgroupVersion: 1 | 2 | undefined;
  /** Whether memory and swap can be limited together. */
  hasSwapLimit: boolean;
}

/** What /proc says of this process, and its control groups say of themselves, where there are any. */
export function readMachine(cgroups: Pick<NodeMachine, 'cgroupVersion' | 'hasSwapLimit'> | undefined): NodeMachine {
  const status = readFileSync('/proc/self/status', 'latin1');
  return {
    architecture: process.arch,
    kernel: release(),
    capabilities: capabilitiesOfMask(/^CapBnd:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'),
    memoryBytes: totalmem(),
    oomScoreAdj: Number(readFileSync('/proc/self/oom_score_adj', 'latin1')),
    isRootless: isInUserNamespace(readFileSync('/proc/self/uid_map', 'latin1')),
    thermalPaths: thermalPathsIn('/sys/devices/system/cpu'),
    cgroupVersion: cgroups?.cgroupVersion,
    hasSwapLimit: cgroups?.hasSwapLimit ?? false,
  };
}

/** Outside of all user namespaces every id is itself. */
const isInUserNamespace = (uidMap: string) => !/^\s*0\s+0\s+4294967295\s*$/.test(uidMap);

function thermalPathsIn(folder: string): string[] {
  const names = existsSync(folder) ? readdirSync(folder).filter((name) => /^cpu\d+$/.test(name)) : [];
  return names.map((name) => `${folder}/${name}/thermal_throttle`).filter((path) => existsSync(path));
}
