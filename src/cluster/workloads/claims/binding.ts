import type { PersistentVolume } from '../../../api/core/persistent-volume.ts';
import type { PersistentVolumeClaim } from '../../../api/core/persistent-volume-claim.ts';
import { isPodTerminal, type Pod } from '../../../api/core/pod.ts';
import { parseQuantity } from '../../../api/core/quantity.ts';
import { type Key, keyOf, keyText } from '../../../api/meta.ts';
import { selects } from '../../../api/selector.ts';

/** The claims that a pod names. */
export const claimsOf = ({ metadata, spec }: Pod): Key[] =>
  (spec.volumes ?? []).flatMap(({ persistentVolumeClaim: claim }) =>
    claim ? [{ namespace: metadata.namespace ?? 'default', name: claim.claimName }] : [],
  );

/** Whether a pod that has not ended names the claim. */
export function isInUse(claim: PersistentVolumeClaim, pods: readonly Pod[]): boolean {
  const wanted = keyText(keyOf(claim));
  return pods.some((pod) => !isPodTerminal(pod) && claimsOf(pod).some((key) => keyText(key) === wanted));
}

/** Whether the volume is kept for this claim, and for no other of its name before. */
export function isFor({ spec: { claimRef } }: PersistentVolume, { metadata }: PersistentVolumeClaim): boolean {
  if (claimRef?.name !== metadata.name || claimRef.namespace !== metadata.namespace) return false;
  return claimRef.uid === undefined || claimRef.uid === '' || claimRef.uid === metadata.uid;
}

/**
 * The volume that a claim can have: the one that it names or that is kept for it, else the smallest that is free and
 * enough (Kubernetes' persistent volume binder).
 */
export function volumeFor(
  claim: PersistentVolumeClaim,
  volumes: readonly PersistentVolume[],
): PersistentVolume | undefined {
  const { volumeName } = claim.spec;
  const known = volumes.filter((volume) => volume.metadata.deletionTimestamp === undefined);
  if (volumeName) {
    return known.find((each) => each.metadata.name === volumeName && (!each.spec.claimRef || isFor(each, claim)));
  }
  const kept = known.find((volume) => isFor(volume, claim));
  if (kept) return kept;
  const free = known.filter((volume) => !volume.spec.claimRef && suits(volume, claim));
  return free.sort((a, b) => sizeOf(a) - sizeOf(b))[0];
}

function suits(volume: PersistentVolume, { spec }: PersistentVolumeClaim): boolean {
  const offered = volume.spec.accessModes ?? [];
  return (
    (volume.spec.storageClassName ?? '') === (spec.storageClassName ?? '') &&
    (volume.spec.volumeMode ?? 'Filesystem') === (spec.volumeMode ?? 'Filesystem') &&
    (spec.accessModes ?? []).every((mode) => offered.includes(mode)) &&
    sizeOf(volume) >= (parseQuantity(spec.resources?.requests?.storage ?? 0) ?? 0) &&
    selects(spec.selector ?? {}, volume.metadata.labels)
  );
}

const sizeOf = ({ spec }: PersistentVolume) => parseQuantity(spec.capacity?.storage ?? 0) ?? 0;
