import { stat } from 'node:fs/promises';
import type { Pod } from '../../../../api/core/pod.ts';
import type { Volume } from '../../../../api/core/pod-spec.ts';
import { parseQuantity } from '../../../../api/core/quantity.ts';
import type { Sandbox } from '../../driver.ts';
import { giveToGroup } from './ownership.ts';

export type MemoryVolumes = Pick<Sandbox, 'memoryVolume'>;

/** An emptyDir in memory, where the pod's sandbox has such folders; undefined where it is one on the disk instead. */
export async function makeMemoryVolume(volume: Volume, pod: Pod, sandbox: MemoryVolumes): Promise<string | undefined> {
  const path = await sandbox.memoryVolume?.(volume.name, memorySizeOf(volume, pod));
  if (path === undefined) return undefined;
  const { fsGroup } = pod.spec.securityContext ?? {};
  // Once: from then on it is the containers'.
  if (fsGroup !== undefined && (await stat(path)).gid !== fsGroup) await giveToGroup(path, pod);
  return path;
}

/** As the kubelet sizes it: no more than the volume's limit, nor than all of the pod's containers may have together. */
export function memorySizeOf({ emptyDir }: Volume, { spec }: Pod): number | undefined {
  const limits = spec.containers.map(({ resources }) => bytesOf(resources?.limits?.memory));
  const ofPod = limits.every((limit) => limit !== undefined)
    ? limits.reduce((sum, limit) => sum + limit, 0)
    : undefined;
  const all = [bytesOf(emptyDir?.sizeLimit), ofPod].filter((bytes) => bytes !== undefined);
  return all.length === 0 ? undefined : Math.min(...all);
}

/** What is zero is no limit. */
function bytesOf(quantity: string | number | undefined): number | undefined {
  const bytes = quantity === undefined ? undefined : parseQuantity(quantity);
  return bytes !== undefined && bytes > 0 ? Math.min(Math.ceil(bytes), Number.MAX_SAFE_INTEGER) : undefined;
}
