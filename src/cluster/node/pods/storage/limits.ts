import type { Pod } from '../../../../api/core/pod.ts';
import type { Container } from '../../../../api/core/pod-spec.ts';
import { parseQuantity } from '../../../../api/core/quantity.ts';

/** What a pod has on the disk, in bytes, by name. */
export interface StorageUse {
  /** Its emptyDirs that are not in memory. */
  volumes: ReadonlyMap<string, number>;
  /** What its containers have written beside their volumes, and logged. */
  containers: ReadonlyMap<string, number>;
}

const resource = 'ephemeral-storage';

/** Whether anything of the pod's local storage is limited. */
export const limitsStorage = ({ spec }: Pod): boolean =>
  (spec.volumes ?? []).some((volume) => isOnDisk(volume) && sizeLimitOf(volume) !== undefined) ||
  spec.containers.some((container) => limitOf(container) !== undefined);

/** An emptyDir in memory is limited by its own file system. */
export const isOnDisk = ({ emptyDir }: Volume): boolean => emptyDir !== undefined && emptyDir.medium !== 'Memory';

/** What the kubelet says of a pod that has more than it may (pkg/kubelet/eviction), in its order; else undefined. */
export function storageExcess({ spec }: Pod, { volumes, containers }: StorageUse): string | undefined {
  for (const volume of (spec.volumes ?? []).filter(isOnDisk)) {
    const limit = sizeLimitOf(volume);
    if (limit && (volumes.get(volume.name) ?? 0) > limit.bytes) {
      return `Usage of EmptyDir volume "${volume.name}" exceeds the limit "${limit.text}". `;
    }
  }
  const limits = spec.containers.map((container) => limitOf(container));
  if (limits.length > 0 && limits.every((limit) => limit !== undefined)) {
    const allowed = limits.reduce((sum, { bytes }) => sum + bytes, 0);
    const used = [...volumes.values(), ...containers.values()].reduce((sum, bytes) => sum + bytes, 0);
    if (used > allowed) {
      const text = limits.length === 1 ? limits[0]?.text : String(allowed);
      return `Pod ephemeral local storage usage exceeds the total limit of containers ${text}. `;
    }
  }
  for (const container of spec.containers) {
    const limit = limitOf(container);
    if (limit && (containers.get(container.name) ?? 0) > limit.bytes) {
      return `Container ${container.name} exceeded its local ephemeral storage limit "${limit.text}". `;
    }
  }
  return undefined;
}

type Volume = NonNullable<Pod['spec']['volumes']>[number];

const sizeLimitOf = ({ emptyDir }: Volume) => amount(emptyDir?.sizeLimit);
const limitOf = ({ resources }: Container) => amount(resources?.limits?.[resource]);

/** None is no limit, as in Kubernetes. */
function amount(quantity: string | number | undefined): { bytes: number; text: string } | undefined {
  const bytes = quantity === undefined ? undefined : parseQuantity(quantity);
  return bytes !== undefined && bytes > 0 ? { bytes, text: String(quantity) } : undefined;
}
